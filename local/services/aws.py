"""AWS's own APIs (object store, data catalog, secrets), emulated by moto in memory."""

import argparse
import socket
import sys
from functools import partial

from local.answering import answers
from local.ports import LOOPBACK, port_of
from local.processes import Program


def emulation(listener: socket.socket) -> Program:
    """The server on a socket it inherits. Buckets live in its memory: without it the stack's data is gone."""
    return Program(
        name="aws",
        command=[sys.executable, "-m", "local.services.aws", "--fd", str(listener.fileno())],
        ready=partial(answers, listener),
        inherited=(listener.fileno(),),
        irreplaceable=True,
    )


def serve(listener: socket.socket) -> None:
    """Serve until the process is asked to stop."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    application = DomainDispatcherApplication(create_backend_app)
    port, descriptor = port_of(listener), listener.fileno()
    server = make_server(LOOPBACK, port, application, True, request_handler=MotoRequestHandler, fd=descriptor)
    server.serve_forever()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--fd", type=int, required=True, help="an inherited, listening socket")
    serve(socket.socket(fileno=arguments.parse_args().fd))
