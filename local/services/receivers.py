"""The servers that notify people, as a process of the stack."""

import socket
import sys
from functools import partial

from local.answering import answers
from local.processes import Program


def receivers(listener: socket.socket) -> Program:
    """The servers on a socket they inherit; started again, they have received nothing and know no fault."""
    return Program(
        name="receivers",
        command=[sys.executable, "-m", "local.receivers", "--fd", str(listener.fileno())],
        ready=partial(answers, listener),
        inherited=(listener.fileno(),),
    )
