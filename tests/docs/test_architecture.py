"""The way of an event on the architecture page has a row for every function, and names rooms and modules that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "layers/sluice/python/sluice"
PAGE = (ROOT / "docs" / "architecture.md").read_text()
WAY = PAGE.split("## The way of an event")[1].split("\n## ")[0]
ROWS = [row.split("|") for row in WAY.splitlines() if row.startswith("|")]
FUNCTIONS = sorted(path.parent.name for path in (ROOT / "functions").glob("*/handler.py"))


def test_every_function_has_its_row_on_the_way_of_an_event() -> None:
    assert FUNCTIONS
    rows = {row[1].strip() for row in ROWS if f"`functions/{row[1].strip(' *')}`" in row[3]}
    assert {f"**{name}**" for name in FUNCTIONS} == rows


def test_every_room_and_module_that_the_way_names_is_there() -> None:
    cells = [row[3] for row in ROWS]
    named = [(room, modules) for cell in cells for room, modules in _rooms_named(cell)]
    assert len(named) > len(cells) / 2
    for room, modules in named:
        there = {path.stem for half in ("core", "edge") for path in (PACKAGE / half / room).glob("*.py")}
        assert there, room
        assert set(modules) <= there, room


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_is_in_the_picture_or_in_the_text_below_it(name: str) -> None:
    picture = PAGE.split("```mermaid")[1].split("\n## ")[0]
    assert re.search(rf"\b{name}\b", picture)


def test_every_room_page_is_linked_and_named_after_its_room() -> None:
    pages = {path.stem for path in (ROOT / "docs" / "rooms").glob("*.md")}
    assert pages
    assert pages == set(re.findall(r"^\| \[\w+\]\(rooms/(\w+)\.md\)", PAGE, re.MULTILINE))
    assert {page for page in pages if not (PACKAGE / "core" / page).is_dir()} == set()


def _rooms_named(cell: str) -> list[tuple[str, list[str]]]:
    """The rooms that a cell names, each with its modules in parentheses."""
    _, _, rooms = cell.partition("room")
    found = re.findall(r"`(\w+)`(?: \(([^)]*)\))?", rooms)
    return [(room, re.findall(r"\w+", modules)) for room, modules in found]
