"""Loopback ports that are known before a process starts and stay its own when it restarts.

A port that is picked, closed and handed on can be taken in between. Two ways avoid that: a process of ours inherits
the listening socket itself; a foreign one gets a port on which we keep a bound socket that never listens. The system
hands such a port to no other program, while a server that sets SO_REUSEADDR, as every server does, may listen on it.
"""

import socket
from types import TracebackType
from typing import Self

LOOPBACK = "127.0.0.1"


class Ports:
    """All ports of one stack, held for as long as it runs."""

    def __init__(self) -> None:
        self._held: list[socket.socket] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for held in self._held:
            held.close()

    def listen(self) -> socket.socket:
        """A listening socket for a child to inherit; while the child restarts, its callers wait instead of failing."""
        listener = socket.create_server((LOOPBACK, 0), backlog=1024)
        self._held.append(listener)
        return listener

    def reserve(self) -> int:
        """A port for a child that binds by itself."""
        reserved = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._held.append(reserved)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind((LOOPBACK, 0))
        return port_of(reserved)


def port_of(bound: socket.socket) -> int:
    """The port a socket is bound to."""
    return int(bound.getsockname()[1])


def address(port: int) -> str:
    """A port of this machine as "host:port"."""
    return f"{LOOPBACK}:{port}"
