"""Everything that the README lists exists, and everything that exists is listed."""

import re
import subprocess
from pathlib import Path

from cli.commands import COMMANDS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
TARGETS = set(re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_every_command_of_the_readme_is_a_target_and_every_target_is_in_the_readme() -> None:
    named = set(re.findall(r"\bmake ([a-z]+)", README))
    assert named <= TARGETS
    assert TARGETS - {"help"} <= named


def test_every_command_of_the_readme_is_a_command_and_every_command_is_in_the_readme() -> None:
    named = set(re.findall(r"\bsluice ([a-z][a-z-]*)", README))
    assert named <= COMMANDS.keys()
    assert COMMANDS.keys() - {"simulate"} <= named


def test_every_test_is_run_by_make_test_once() -> None:
    said = subprocess.run(["make", "-n", "test"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    named = [path for run in re.findall(r"-m pytest (.*)", said) for path in run.split()]
    globs = [path if path.endswith(".py") else f"{path}/**/test_*.py" for path in named]
    modules = [module for pattern in globs for module in ROOT.glob(pattern)]
    # Each of the shares that break something looks at its own logs.
    modules.remove(ROOT / "tests/faults/test_zz_secrets.py")
    assert sorted(modules) == sorted((ROOT / "tests").rglob("test_*.py"))
