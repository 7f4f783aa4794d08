"""What the README enumerates is there, and what is there is enumerated."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
TARGETS = set(re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
PACKAGE = ROOT / "layers/sluice/python/sluice"


def test_every_command_of_the_readme_is_a_target_and_every_target_is_in_the_readme() -> None:
    named = set(re.findall(r"\bmake ([a-z]+)", README))
    assert named <= TARGETS
    assert TARGETS - {"help"} <= named


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:[a-z_]+/)+[a-z_.*]*)`|\]\(([\w./]+)\)", README))))
def test_every_path_of_the_readme_exists(path: tuple[str, str]) -> None:
    named = next(filter(None, path))
    assert [*ROOT.glob(named.rstrip("/")), *PACKAGE.glob(named.rstrip("/"))], named


def test_every_function_has_its_place_on_the_way_of_an_event() -> None:
    functions = {folder.name for folder in (ROOT / "functions").iterdir() if (folder / "handler.py").exists()}
    assert functions
    assert {name for name in functions if f"`functions/{name}`" not in README} == set()


def rooms() -> dict[str, set[str]]:
    """The modules of every room, in the core or at the edge."""
    found: dict[str, set[str]] = {}
    for path in [*PACKAGE.glob("core/*/*.py"), *PACKAGE.glob("edge/*/*.py")]:
        found.setdefault(path.parent.name, set()).add(path.stem)
    return found


def test_every_module_the_readme_names_is_in_the_room_where_it_says() -> None:
    named = re.findall(
        r"(?:rooms? |, )`(\w+)`(?: \(((?:`\w+`(?:, )?)+)\))?", way := README.split("## The way of an event")[1]
    )
    named = [(room, module) for room, modules in named if room in rooms() for module in re.findall(r"\w+", modules)]
    assert len(named) > way.count("room `")
    assert {(room, module) for room, module in named if module not in rooms()[room]} == set()
