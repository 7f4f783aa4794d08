"""What a deployment installs is enough for the commands that its pages name."""

import ast
import re
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from cli.commands import COMMANDS, name_module

ROOT = Path(__file__).parents[2]
PAGES = ("deploy.md", "only-aws-can-tell.md")
# Where our own code is.
PLACES = (ROOT, ROOT / "layers" / "sluice" / "python")
# What comes with what is listed.
BROUGHT = {"botocore": "boto3", "jsii": "aws-cdk-lib"}
# `sluice doctor` examines the machine's local stack only where it is not asked about an account.
LOCAL_ONLY = {ROOT / "local" / "doctor.py"}
# What targets of `make` run for these pages.
RUN_BY_MAKE = ("app", "cli.emptying", "cli.execution_policy", "local.packages", "local.page")


def named() -> set[str]:
    """The commands that the pages name."""
    return {
        command
        for page in PAGES
        for command in re.findall(r"\bsluice ([a-z-]+)", (ROOT / "docs" / page).read_text())
        if command in COMMANDS
    }


def installed() -> set[str]:
    """The packages that the set-up of a deployment lists."""
    lines = [
        line
        for name in ("requirements.txt", "requirements-deploy.txt")
        for line in (ROOT / name).read_text().splitlines()
    ]
    return {re.split(r"[\[=]", line)[0] for line in lines if re.match(r"\w", line)}


def files_of(module: str) -> list[Path]:
    """Return our own files that importing a module runs, if it is ours."""
    parts = module.split(".")
    found = []
    for place in PLACES:
        for depth in range(1, len(parts) + 1):
            path = place.joinpath(*parts[:depth])
            found += [each for each in (path.with_suffix(".py"), path / "__init__.py") if each.exists()]
    return found


def imports(path: Path) -> Iterator[str]:
    """Yield what a file imports, in functions too, but for what only its types need."""
    tree = ast.parse(path.read_text())
    for_types = {
        id(each)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for each in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module
            yield from (f"{node.module}.{each.name}" for each in node.names)


def reached(module: str) -> set[str]:
    """Return the modules of others that a module of ours imports, directly or by others of ours."""
    waiting, seen, others = files_of(module), set[Path](), set[str]()
    while waiting:
        path = waiting.pop()
        if path in seen or path in LOCAL_ONLY:
            continue
        seen.add(path)
        for name in imports(path):
            ours = files_of(name)
            waiting += ours
            if not ours:
                others.add(name.partition(".")[0])
    return others - sys.stdlib_module_names


def modules() -> list[str]:
    """The modules that the pages' commands and targets run."""
    folders = {command: name_module(command) for command in named()}
    commands = [f"{name}.command" if (ROOT / name.replace(".", "/")).is_dir() else name for name in folders.values()]
    return [*sorted(commands), *RUN_BY_MAKE]


def test_the_pages_name_commands_and_the_walk_finds_what_they_import() -> None:
    assert {"canary", "doctor", "smoke", "statement", "fleet"} <= named()
    assert {"aiohttp", "boto3", "typer"} <= reached("cli.canary")
    assert "cryptography" in reached("cli.audit.command")


@pytest.mark.parametrize("module", modules())
def test_a_command_imports_only_what_a_deployment_installs(module: str) -> None:
    assert files_of(module), "there is no such module"
    listed, distributions = installed(), packages_distributions()
    missing = {
        name
        for name in reached(module)
        if not {BROUGHT.get(name, name), *(each.replace("_", "-") for each in distributions.get(name, ()))} & listed
    }
    assert missing == set(), "pin it in requirements-deploy.txt"
