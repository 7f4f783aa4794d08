"""Everything that the README lists exists, and everything that exists is listed."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
TARGETS = set(re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
PACKAGE = ROOT / "layers/sluice/python/sluice"


def test_every_command_of_the_readme_is_a_target_and_every_target_is_in_the_readme() -> None:
    named = set(re.findall(r"\bmake ([a-z]+)", README))
    assert named <= TARGETS
    assert TARGETS - {"help"} <= named


def test_every_test_is_run_by_make_test_once() -> None:
    said = subprocess.run(["make", "-n", "test"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    named = [path for run in re.findall(r"-m pytest (.*)", said) for path in run.split()]
    globs = [path if path.endswith(".py") else f"{path}/**/test_*.py" for path in named]
    modules = [module for pattern in globs for module in ROOT.glob(pattern)]
    # Each of the shares that break something looks at its own logs.
    modules.remove(ROOT / "tests/faults/test_zz_secrets.py")
    assert sorted(modules) == sorted((ROOT / "tests").rglob("test_*.py"))


def test_every_function_has_its_place_on_the_way_of_an_event() -> None:
    functions = {folder.name for folder in (ROOT / "functions").iterdir() if (folder / "handler.py").exists()}
    assert functions
    assert {name for name in functions if f"`functions/{name}`" not in README} == set()


def test_every_room_and_module_the_readme_names_is_there() -> None:
    rows = README.split("## The way of an event")[1].split("\n## ")[0].splitlines()
    cells = [row.split("|")[3] for row in rows if row.startswith("|")]
    named = [(room, modules) for cell in cells for room, modules in _rooms_named(cell)]
    assert len(named) > len(cells) / 2
    for room, modules in named:
        there = {path.stem for half in ("core", "edge") for path in (PACKAGE / half / room).glob("*.py")}
        assert there, room
        assert set(modules) <= there, room


def _rooms_named(cell: str) -> list[tuple[str, list[str]]]:
    """The rooms that a cell names, each with its modules in parentheses."""
    _, _, rooms = cell.partition("room")
    found = re.findall(r"`(\w+)`(?: \(([^)]*)\))?", rooms)
    return [(room, re.findall(r"\w+", modules)) for room, modules in found]
