"""The AWS emulation for tests of single models: in this process and empty, or a process as the stack's."""

import contextlib
import os
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from moto.server import ThreadedMotoServer

from local.services import aws
from tests.local.model_process import ROOT, listening, wait_until_it_answers


@contextlib.contextmanager
def emulated_aws() -> Iterator[str]:
    """The address of an empty emulation."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    try:
        # All emulations of one process share their state.
        urllib.request.urlopen(urllib.request.Request(f"{url}/moto-api/reset", method="POST")).close()
        yield url
    finally:
        server.stop()


@contextlib.contextmanager
def emulation_process(lambdas: str, directory: Path, guard: Path | None = None) -> Iterator[str]:
    """The address of an emulation that runs state machines, as the stack starts it."""
    log = directory / "aws.log"
    with listening() as listener, log.open("ab") as output:
        program = aws.emulation(listener, lambdas, guard)
        process = subprocess.Popen(
            program.command,
            pass_fds=program.inherited,
            stdout=output,
            stderr=output,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        try:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            wait_until_it_answers(f"{url}/moto-api/data.json", process, log)
            yield url
        finally:
            process.terminate()
            process.wait(timeout=20)
