"""Runs a model on a listening socket it inherits, so that its port is known before it starts and survives a restart."""

import argparse
import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from aiohttp import web

#: What a model is: given its config file, an application that lives as long as the context.
Model = Callable[[Path], AbstractAsyncContextManager[web.Application]]


def main(model: Model) -> None:
    """Serves a model on the socket and with the config the command line names, until it is asked to stop."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--fd", type=int, required=True, help="an inherited, bound and listening socket")
    arguments.add_argument("--config", type=Path, required=True, help="what the stack resolved from the templates")
    given = arguments.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    asyncio.run(_serve(model, socket.socket(fileno=given.fd), given.config))


async def _serve(model: Model, listener: socket.socket, config: Path) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with model(config) as application, serving(application, listener):
        await stopped.wait()


@contextlib.asynccontextmanager
async def serving(application: web.Application, listener: socket.socket) -> AsyncIterator[None]:
    """Serves an application on a socket; bodies reach it as they were sent, compressed ones too."""
    runner = web.AppRunner(application, access_log=None, auto_decompress=False, shutdown_timeout=1)
    await runner.setup()
    await web.SockSite(runner, listener, backlog=1024).start()
    try:
        yield
    finally:
        await runner.cleanup()
