"""The HTTP server in front of both sides when they are compared as servers."""

import socket
from typing import Any

import uvicorn


def serve(application: Any, descriptor: int) -> None:
    """Serve on an inherited, listening socket, with the fastest loop and parser available, until a stop signal."""
    config = uvicorn.Config(application, loop="uvloop", http="httptools", log_level="warning", access_log=False)
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=descriptor)])
