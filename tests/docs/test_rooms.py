"""The rooms of the shared package are those of the page, and each uses only rooms above its own there."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "layers" / "sluice" / "python" / "sluice"
TABLE = (ROOT / "docs" / "architecture.md").read_text().split("### Rooms")[1].split("\n## ")[0]
ROOMS = re.findall(r"^\| `(\w+)` \|", TABLE, re.MULTILINE)
FUNCTIONS = {
    name for cells in re.findall(r"\| ([\w, ]*) \|$", TABLE, re.MULTILINE) for name in re.findall(r"\w+", cells)
}


def rooms_used(module: Path) -> Iterator[str]:
    """The rooms of its own half of the package from which a module takes something; none for what all share."""
    half = module.relative_to(PACKAGE).parts[0]
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"sluice.{half}"):
            names = (node.module or "").split(".")[2:] or [alias.name for alias in node.names]
            yield from (name for name in names[:1] if (PACKAGE / half / name).is_dir())


@pytest.mark.parametrize("half", ["core", "edge"])
def test_the_rooms_are_those_of_the_page(half: str) -> None:
    there = {path.name for path in (PACKAGE / half).iterdir() if (path / "__init__.py").exists()}
    assert there
    assert there <= set(ROOMS)


def test_no_room_of_the_page_is_missing_and_every_function_has_one() -> None:
    assert {room for room in ROOMS if not any((PACKAGE / half / room).is_dir() for half in ("core", "edge"))} == set()
    functions = {path.parent.name for path in (ROOT / "functions").glob("*/handler.py")}
    assert functions - FUNCTIONS == {"migrate"}  # which brings a database up to date for all rooms
    assert {*functions, "functions"} >= FUNCTIONS


@pytest.mark.parametrize("half", ["core", "edge"])
def test_a_room_uses_only_rooms_above_its_own(half: str) -> None:
    used = 0
    for module in sorted((PACKAGE / half).rglob("*.py")):
        places = module.relative_to(PACKAGE / half).parts
        own = ROOMS.index(places[0]) if len(places) > 1 else -1
        above = [ROOMS.index(room) for room in rooms_used(module)]
        used += len(above)
        assert [ROOMS[room] for room in above if room > own] == [], module
    assert used
