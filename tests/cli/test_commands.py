"""Every command is found by its name, says how it is used, and loads nothing that another needs."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from cli import statement
from cli.__main__ import COMPLETING, main
from cli.commands import COMMANDS, SECTIONS, name_module
from cli.root import PACKAGE, load

ROOT = Path(__file__).parents[2]
SINGLE = [name for name in COMMANDS if (PACKAGE.parent / f"{name_module(name).replace('.', '/')}.py").exists()]
ASKING = ["canary", "dead-letters", "query", "simulate", "statement", "status", "trace"]


def test_every_listed_command_has_its_code_and_is_listed_once() -> None:
    folders = {name: PACKAGE / name_module(name).removeprefix("cli.") for name in COMMANDS}
    groups = [name for name, folder in folders.items() if (folder / "command.py").exists()]
    assert sorted(SINGLE + groups) == sorted(name for listed in SECTIONS.values() for name in listed)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_says_how_it_is_used_and_begins_with_its_line_in_the_list(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"Usage: sluice {command} ")
    assert load(command).help.startswith(COMMANDS[command].removesuffix("."))


@pytest.mark.parametrize("command", ASKING)
def test_without_a_stack_a_command_says_how_to_start_one(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    needed = {"query": ["--sql", "SELECT 1"], "trace": ["e"]}.get(command, [])
    assert main([command, "--dir", str(tmp_path), *needed]) == 2
    assert "`sluice up`" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_lists_every_command_under_what_people_do(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([option]) == 0
    lines = capsys.readouterr().out.splitlines()
    for section, listed in SECTIONS.items():
        after = lines[lines.index(f"{section}:") + 1 :]
        assert [line.split()[0] for line in after[: len(listed)]] == list(listed)


def test_no_command_is_answered_with_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    said = capsys.readouterr().err
    assert [command for command in COMMANDS if command not in said] == []


@pytest.mark.parametrize(("mistyped", "meant"), [("qurey", "query"), ("stats", "status"), ("profil", "profile")])
def test_an_unknown_command_is_answered_with_the_nearest(
    mistyped: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([mistyped]) == 2
    assert f"Did you mean '{meant}'" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["trace"], ["rerun", "archive", "x", "1", "2"], ["status", "--no-such"]])
def test_a_wrong_option_is_an_error_of_the_person(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert f"Usage: sluice {arguments[0]} " in capsys.readouterr().err


def test_the_version_is_the_projects(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    said = capsys.readouterr().out.split()
    assert f'version = "{said[1]}"' in (ROOT / "pyproject.toml").read_text()


def test_ctrl_c_ends_a_command_as_a_shell_expects(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(statement, "find_function", interrupt)
    assert main(["statement", "--stage", "prod"]) == 130


@pytest.mark.parametrize("command", ["cost", "doctor"])
def test_what_needs_the_local_stacks_code_says_so_where_it_is_not_installed(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in list(sys.modules):
        if name == "local" or name.startswith(("local.", "cli.cost.command")):
            monkeypatch.delitem(sys.modules, name)
    # So Python remembers that there is no such module.
    monkeypatch.setitem(sys.modules, "local", None)
    assert main([command]) == 2
    assert f"`sluice {command}` works from a checkout only" in capsys.readouterr().err


def loaded_by(*arguments: str) -> set[str]:
    """The modules that a command line loads, and the packages that they are in."""
    script = f"import sys; from cli.__main__ import main; main({list(arguments)}); print(*sys.modules, sep='\\n')"
    ran = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(ran.stdout.splitlines())


def test_the_list_is_printed_without_typer() -> None:
    assert not loaded_by("--help") & {"typer", "cli.root", "cli.stages"}


@pytest.mark.parametrize("command", [name for name in SINGLE if name != "simulate"])
def test_a_command_says_how_it_is_used_without_loading_what_it_asks_with(command: str) -> None:
    loaded = loaded_by(command, "--help")
    assert not loaded & {"boto3", "rich", "confluent_kafka", "pandas", "local", "tests", "infra", "functions"}
    assert {name_module(other) for other in COMMANDS if other not in (command, "query")} & loaded == set()


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (["que"], {"query"}),
        (["rerun", "arch"], {"archive"}),
        (["query", "--name", "gaps"], {"gaps_between"}),
        (["statement", "--js"], {"--json"}),
        (["dead"], {"dead-letters"}),
        (["profile", "re"], {"remove"}),
    ],
)
def test_a_shell_completes_commands_options_and_values(words: list[str], completed: set[str]) -> None:
    asks = {"COMP_WORDS": " ".join(["sluice", *words]), "COMP_CWORD": str(len(words)), COMPLETING: "complete_bash"}
    ran = subprocess.run(
        [sys.executable, "-m", "cli"], cwd=ROOT, env={**os.environ, **asks}, capture_output=True, text=True, check=True
    )
    assert set(ran.stdout.split()) == completed


def test_what_an_installed_package_needs_is_pinned() -> None:
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    pinned = {line.partition("==")[0] for line in (ROOT / "constraints.txt").read_text().splitlines()}
    assert set(needed) <= pinned
