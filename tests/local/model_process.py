"""Runs a model the way the stack does: as a process that inherits its socket and reads a config file."""

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from local.models import config

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class ModelProcess:
    """A running model."""

    url: str
    process: subprocess.Popen[bytes]


@contextlib.contextmanager
def running(name: str, settings: msgspec.Struct, directory: Path) -> Iterator[ModelProcess]:
    """A model that answers, until the end of the context."""
    with listening() as listener, running_on(listener, name, settings, directory) as model:
        yield model


@contextlib.contextmanager
def running_function(arn: str, code: str, directory: Path, workers: int) -> Iterator[ModelProcess]:
    """The model of Lambda with one function, which finds the directory in HOME_DIRECTORY."""
    (directory / "code").mkdir()
    (directory / "code" / "handler.py").write_text(code)
    function = config.FunctionConfig(
        name=arn.rpartition(":")[2],
        arn=arn,
        handler="handler.handler",
        runtime="python3.13",
        directory=str(directory / "code"),
        memory_mb=128,
        timeout_seconds=10,
        concurrency=100,
        workers=workers,
        environment={"HOME_DIRECTORY": str(directory)},
    )
    settings = config.LambdasConfig("us-east-1", sys.executable, str(directory / "state"), [function])
    with running("lambdas", settings, directory) as model:
        yield model


def listening() -> socket.socket:
    """A socket for a model to inherit; it outlives the model, as in the stack."""
    return socket.create_server(("127.0.0.1", 0), backlog=1024)


@contextlib.contextmanager
def running_on(listener: socket.socket, name: str, settings: msgspec.Struct, directory: Path) -> Iterator[ModelProcess]:
    """A model that answers on a socket of the caller's."""
    directory.mkdir(parents=True, exist_ok=True)
    file = config.write(settings, directory / f"{name}.json")
    with (directory / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", f"local.models.{name}", "--fd", str(listener.fileno()), "--config", str(file)],
            pass_fds=[listener.fileno()],
            stdout=log,
            stderr=log,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        try:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            wait_until_it_answers(f"{url}/_model", process, directory / f"{name}.log")
            yield ModelProcess(url, process)
        finally:
            process.terminate()
            process.wait(timeout=20)


def wait_until_it_answers(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait for any answer of a process; one that ends is quoted."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the model ended with {process.returncode}:\n{log.read_text()}")
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except urllib.error.HTTPError as error:
            error.close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"the model did not answer:\n{log.read_text()}")
