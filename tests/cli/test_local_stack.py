"""`sluice up`, `down` and `demo` become the local stack's own program, from anywhere in a checkout."""

import os
from pathlib import Path
from typing import get_args

import pytest

from cli import stages
from cli.__main__ import main
from cli.local_stack import Profile
from infra.profiles import PROFILES


class BecameError(Exception):
    """Where the process would be another program."""


@pytest.fixture
def became(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """What the process became, and where; the command runs in a folder of a checkout that is set up."""
    python = tmp_path / ".venv" / "bin" / "python"
    for file in (tmp_path / "local" / "venv.sh", python, tmp_path / "docs" / "rooms" / "page"):
        file.parent.mkdir(parents=True)
        file.touch()
    monkeypatch.setattr(stages, "__file__", "/site-packages/cli/stages.py")
    monkeypatch.chdir(tmp_path / "docs" / "rooms")
    found: list[object] = []

    def become(program: Path, command: list[str]) -> None:
        found[:] = [program == python, Path.cwd() == tmp_path, command[1:]]
        raise BecameError

    monkeypatch.setattr(os, "execv", become)
    return found


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["up"], ["up", "--dir", "{}/.local", "--profile", "test"]),
        (["up", "--profile", "large", "--dir", "here"], ["up", "--dir", "{}/docs/rooms/here", "--profile", "large"]),
        (["down"], ["down", "--dir", "{}/.local"]),
        (
            ["demo", "--", "--rate", "50"],
            ["demo", "--dir", "{}/.local", "--profile", "test", "--", "--rate", "50"],
        ),
    ],
)
def test_it_runs_in_the_checkout_with_the_checkouts_python(
    arguments: list[str], command: list[str], became: list[object], tmp_path: Path
) -> None:
    with pytest.raises(BecameError):
        main(arguments)
    assert became == [True, True, ["-m", "local", *(word.format(tmp_path) for word in command)]]


def test_a_checkout_that_is_not_set_up_says_what_to_do(
    became: list[object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".venv" / "bin" / "python").unlink()
    assert main(["up"]) == 2
    assert "`make setup`" in capsys.readouterr().err
    assert became == []


def test_outside_a_checkout_there_is_no_local_stack(
    became: list[object], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir("/")
    assert main(["down"]) == 2
    assert "needs a checkout of Sluice" in capsys.readouterr().err
    assert became == []


def test_another_profile_is_refused_with_those_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["up", "--profile", "huge"]) == 2
    assert "'huge' is not one of 'test', 'dev'" in capsys.readouterr().err
    assert get_args(Profile) == tuple(PROFILES)
