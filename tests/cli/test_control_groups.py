"""The groups of the control plane: each command says what its JSON is, and none loads the local stack."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from cli.__main__ import main

ROOT = Path(__file__).parents[2]
GROUPS = {
    "fleet": ["archive", "change", "create", "list", "show"],
    "key": ["create", "list", "revoke", "rotate", "show"],
    "rules": ["archive", "change", "create", "list", "show"],
    "destinations": ["archive", "change", "create", "list", "show", "test"],
    "audit": ["checkpoints", "export", "list", "verify"],
}


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_has_its_commands(group: str) -> None:
    app = importlib.import_module(f"cli.{group}.command").app
    names = [each.name or str(each.callback and each.callback.__name__) for each in app.registered_commands]
    assert sorted(names) == GROUPS[group]


@pytest.mark.parametrize(
    ("group", "command"), [(group, command) for group, names in GROUPS.items() for command in names]
)
def test_a_command_says_what_its_json_is(group: str, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([group, command, "--help"]) == 0
    said = capsys.readouterr().out
    assert f"sluice {group} {command}" in said
    assert "The JSON " in " ".join(said.split())
    assert "--json" in said


def test_no_group_loads_the_local_stack_or_the_tests() -> None:
    script = f"""
import importlib, sys
for group in {list(GROUPS)}:
    importlib.import_module(f"cli.{{group}}.command")
print([name for name in sys.modules if name.split(".")[0] in ("local", "tests", "infra", "functions")])
"""
    ran = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
