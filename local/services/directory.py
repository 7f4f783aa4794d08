"""The directory of groups as a process of the stack."""

import socket
import sys
from functools import partial

from local.answering import answers
from local.processes import Program


def directory(listener: socket.socket) -> Program:
    """The server on a socket it inherits; started again, it knows the simulated fleet's groups and no fault."""
    return Program(
        name="directory",
        command=[sys.executable, "-m", "local.directory", "--fd", str(listener.fileno())],
        ready=partial(answers, listener),
        inherited=(listener.fileno(),),
    )
