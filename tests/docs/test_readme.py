"""What the README enumerates is there, and what is there is enumerated."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
TARGETS = set(re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
CORE = ROOT / "layers/sluice/python/sluice"


def test_every_command_of_the_readme_is_a_target_and_every_target_is_in_the_readme() -> None:
    named = set(re.findall(r"\bmake ([a-z]+)", README))
    assert named <= TARGETS
    assert TARGETS - {"help"} <= named


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:[a-z_]+/)+[a-z_.*]*)`|\]\(([\w./]+)\)", README))))
def test_every_path_of_the_readme_exists(path: tuple[str, str]) -> None:
    named = next(filter(None, path))
    assert list(ROOT.glob(named.rstrip("/"))), named


def test_every_function_has_its_place_on_the_way_of_an_event() -> None:
    functions = {folder.name for folder in (ROOT / "functions").iterdir() if (folder / "handler.py").exists()}
    assert functions
    assert {name for name in functions if f"`functions/{name}`" not in README} == set()


def test_every_module_the_readme_names_exists() -> None:
    table = README.split("## The way of an event")[1].split("\n## ")[0]
    named = re.findall(r"`sluice\.(core|edge)`: ((?:`\w+`(?:, )?)+)|`sluice\.(core|edge)\.(\w+)`", table)
    modules = {(one[0] or one[2], module) for one in named for module in re.findall(r"\w+", one[1] or one[3])}
    assert modules
    assert {module for module in modules if not (CORE / module[0] / f"{module[1]}.py").exists()} == set()
