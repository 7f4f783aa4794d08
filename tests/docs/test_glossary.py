"""The glossary has a line for each term, room and metric: sorted, and each once."""

import re
from pathlib import Path

import pytest

from sluice.core.metrics import METRICS

ROOT = Path(__file__).parents[2]
CORE = ROOT / "layers" / "sluice" / "python" / "sluice" / "core"
PAGE = (ROOT / "docs" / "glossary.md").read_text()
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
LISTED = {
    "Terms": re.findall(r"^- \*\*(.+?)\*\*: .+\.$", SECTIONS["Terms"], re.MULTILINE),
    "Rooms": re.findall(r"^- \*\*(.+?)\*\*: .+\.$", SECTIONS["Rooms"], re.MULTILINE),
    "Metrics": re.findall(r"^\| `(\w+)` \| .+\. \|$", SECTIONS["Metrics"], re.MULTILINE),
}


@pytest.mark.parametrize("section", LISTED)
def test_the_names_of_a_section_are_sorted_and_each_stands_once(section: str) -> None:
    names = [name.lower() for name in LISTED[section]]
    assert names == sorted(set(names))


@pytest.mark.parametrize("section", ["Terms", "Rooms"])
def test_every_line_of_a_list_is_a_name_and_one_sentence(section: str) -> None:
    lines = [line for line in SECTIONS[section].splitlines() if line.startswith(("-", " "))]
    assert len(lines) == len(LISTED[section])


def test_there_are_terms() -> None:
    assert set(SECTIONS) == set(LISTED)
    assert len(LISTED["Terms"]) > 100


def test_every_room_has_its_line() -> None:
    assert set(LISTED["Rooms"]) == {path.parent.name for path in CORE.glob("*/__init__.py")}


def test_every_metric_has_its_line() -> None:
    assert set(LISTED["Metrics"]) == {metric.name for metric in METRICS}
