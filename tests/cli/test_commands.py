"""Every command is found by its name, says how it is used, and needs nothing of the local stack to ask a stage."""

import subprocess
import sys
from pathlib import Path

import pytest

from cli.__main__ import COMMANDS, main

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_says_how_it_is_used(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: {command} ")


@pytest.mark.parametrize("command", [command for command in COMMANDS if command != "rerun"])
def test_without_a_stack_a_command_says_how_to_start_one(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    needed = {"query": ["--sql", "SELECT 1"], "trace": ["e"]}.get(command, [])
    assert main([command, "--dir", str(tmp_path), *needed]) == 2
    assert "make up" in capsys.readouterr().err


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "cost" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["no-such-command"]])
def test_another_word_is_answered_with_the_commands(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert [command for command in COMMANDS if command not in said] == []


def test_no_command_loads_the_local_stack_or_the_tests() -> None:
    script = f"""
import importlib, sys
for command in {COMMANDS}:
    importlib.import_module("cli." + command)
print([name for name in sys.modules if name.split(".")[0] in ("local", "tests", "infra", "functions")])
"""
    ran = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
