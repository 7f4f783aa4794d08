"""AWS's own APIs (object store, data catalog, secrets, state machines), emulated by moto in memory."""

import argparse
import socket
import sys
from functools import partial
from pathlib import Path

from local.answering import answers
from local.ports import LOOPBACK, address, port_of
from local.processes import Program


def emulation(listener: socket.socket, lambdas: str, guard: Path | None = None) -> Program:
    """The server on a socket it inherits. Buckets live in its memory: without it the stack's data is gone.

    `lambdas` is where state machines find their functions; nothing has to answer there before one runs. `guard` is the
    file with the functions' roles; it has to be there before one of them asks for anything. Without it, everyone may
    do everything.
    """
    command = [sys.executable, "-m", "local.services.aws", "--fd", str(listener.fileno()), "--lambdas", lambdas]
    return Program(
        name="aws",
        command=[*command, *(["--guard", str(guard)] if guard else [])],
        ready=partial(answers, listener),
        inherited=(listener.fileno(),),
        irreplaceable=True,
    )


def serve(listener: socket.socket, lambdas: str, guard: Path | None) -> None:
    """Serve until the process is asked to stop."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    from local.models.guard import Guard
    from local.models.guarded_emulation import GuardedEmulation
    from local.models.step_functions import execute_state_machines

    port, descriptor = port_of(listener), listener.fileno()
    execute_state_machines(f"http://{address(port)}", lambdas)
    emulated = DomainDispatcherApplication(create_backend_app)
    application = GuardedEmulation(emulated, Guard(guard, "aws")) if guard else emulated
    server = make_server(LOOPBACK, port, application, True, request_handler=MotoRequestHandler, fd=descriptor)
    server.serve_forever()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--fd", type=int, required=True, help="an inherited, listening socket")
    arguments.add_argument("--lambdas", required=True, help="the base URL of the model of Lambda")
    arguments.add_argument("--guard", type=Path, help="the file with the functions' roles")
    given = arguments.parse_args()
    serve(socket.socket(fileno=given.fd), given.lambdas, given.guard)
