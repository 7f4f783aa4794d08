"""What the tests of commands share: a user without profiles, and a played admin API."""

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli.__main__ import main
from tests.support.played_admin import PlayedAdmin, play_admin

Run = Callable[..., int]


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's directory of settings, which is empty."""
    directory = tmp_path / "config"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(directory))
    return directory


@pytest.fixture
def api() -> Iterator[PlayedAdmin]:
    with play_admin() as played:
        yield played
        assert played.script == [], "the command asked less than the script answers"


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the client would have waited."""
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    return waited


@pytest.fixture
def run(api: PlayedAdmin, waits: list[float], tmp_path: Path) -> Run:
    """Run a command against the played API, and return its status."""
    assert waits == []
    (tmp_path / "stack.json").write_text(json.dumps(api.describe()))

    def run(*arguments: str) -> int:
        offline = arguments[:2] == ("audit", "verify")
        try:
            return main([*arguments, *([] if offline else ["--dir", str(tmp_path)])])
        except SystemExit as ended:
            return int(str(ended.code))

    return run


class Terminal(io.StringIO):
    """A terminal at which a person has typed something."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def typing(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let a person type something at a terminal."""
    return lambda typed: monkeypatch.setattr("sys.stdin", Terminal(typed))
