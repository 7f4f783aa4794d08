"""The rooms of the shared package are those of the page, and each room imports only rooms above its own there."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "layers" / "sluice" / "python" / "sluice"
HALVES = ("core", "edge")
SECTION = (ROOT / "docs" / "architecture.md").read_text().split("### Rooms")[1].split("\n###")[0]
FUNCTIONS = {
    room: set(re.findall(r"\w+", functions))
    for room, functions in re.findall(r"^\| `(\w+)` \| [^|]* \|([^|]*)\|$", SECTION, re.MULTILINE)
}
ROOMS = list(FUNCTIONS)
BEFORE = {
    half: set(re.findall(r"`(\w+)`", line)) for half, line in re.findall(r"Before .* of the (\w+): (.*)", SECTION)
}
CORE_ONLY = {room for line in re.findall(r"Only in the core: (.*)", SECTION) for room in re.findall(r"`(\w+)`", line)}
MODULES = sorted(path for half in HALVES for path in (PACKAGE / half).rglob("*.py") if path.stem != "__init__")


def rooms_used(source: Path) -> Iterator[str]:
    """The rooms, of either half, from which something is taken."""
    for node in ast.walk(ast.parse(source.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        parts = [name.split(".") for name in names if name.startswith("sluice.")]
        yield from (part[2] for part in parts if part[2] in ROOMS)


@pytest.mark.parametrize("half", HALVES)
def test_both_halves_have_the_rooms_of_the_page_and_before_them_what_it_lists(half: str) -> None:
    rooms = set(ROOMS) - (CORE_ONLY if half == "edge" else set())
    assert {path.parent.name for path in (PACKAGE / half).glob("*/__init__.py")} == rooms
    assert {path.stem for path in (PACKAGE / half).glob("*.py")} - {"__init__"} == BEFORE[half]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_uses_only_rooms_above_its_own(module: Path) -> None:
    _half, *places = module.relative_to(PACKAGE).parts
    allowed = ROOMS[: ROOMS.index(places[0]) + 1] if len(places) > 1 else []
    assert set(rooms_used(module)) <= set(allowed)


def test_every_function_works_from_its_room() -> None:
    functions = {path.parent.name for path in (ROOT / "functions").glob("*/handler.py")}
    told = [function for room in ROOMS for function in FUNCTIONS[room]]
    assert len(told) == len(set(told))
    # migrate brings a database up to date for all rooms.
    assert set(told) ^ (functions - {"migrate"}) == set(), "functions that the table of rooms lacks, or has in vain"
    for room, verbs in FUNCTIONS.items():
        for verb in verbs:
            used = set(rooms_used(ROOT / "functions" / verb / "handler.py"))
            assert room in used, f"functions/{verb} imports nothing of its room {room}"


def test_tests_lie_in_the_rooms_of_their_modules() -> None:
    tests = [path for half in HALVES for path in (ROOT / "tests" / "unit" / half).rglob("test_*.py")]
    assert tests
    places = {path: path.relative_to(ROOT / "tests" / "unit").with_name(f"{path.stem[5:]}.py") for path in tests}
    assert {path for path, place in places.items() if not (PACKAGE / place).exists()} == set()
