"""Whether a process answers on the socket it inherited."""

import socket

import aiohttp

from local.ports import address, port_of


async def answers(listener: socket.socket, _pid: int) -> bool:
    """Ask for anything by HTTP: a connection alone proves nothing, since the socket listens before the process does."""
    patience = aiohttp.ClientTimeout(total=2)
    try:
        async with (
            aiohttp.ClientSession(timeout=patience) as session,
            session.get(f"http://{address(port_of(listener))}/"),
        ):
            return True
    except (TimeoutError, aiohttp.ClientError):
        return False
