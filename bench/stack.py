"""The local stack that a benchmark starts for itself, beside one that people use."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from local import background
from local.home import Home
from local.processes import ROOT

HOME = Home(ROOT / ".local" / "load")


@contextmanager
def running_stack() -> Iterator[dict[str, Any]]:
    """Start it, give its description, and stop it."""
    print(background.up(HOME, "test"), flush=True)
    try:
        stack = HOME.description()
        assert stack is not None  # noqa: S101 -- it has just been found healthy
        yield stack
    finally:
        print(background.down(HOME))
