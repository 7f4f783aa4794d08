"""Writes the tables of docs/faults.md and docs/loss-paths.md, the glossary's metrics, and examples in docs/notify.md.

Run it by `python -m tests.docs.pages`. The metrics come from their registry, the other tables from tests: a marker
above a test names the row that it shows. Where several tests show the same row, one of them has its texts. Rows keep
the order of the page, so that a person may order them. New ones come last.
"""

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sluice.core.metrics import Metric

ROOT = Path(__file__).parents[2]


class PageError(Exception):
    """The page cannot be written. The message names the test or the row."""


@dataclass(frozen=True)
class Table:
    """A kind of table: the marker that its rows come from, and the marker's arguments."""

    page: str
    marker: str
    names: tuple[str, ...]
    """Arguments that name a row."""
    texts: tuple[str, ...]
    """Arguments that one of a row's tests says."""
    head: tuple[str, ...]


@dataclass
class Row:
    """What the tests say of one row."""

    names: tuple[str, ...]
    texts: dict[str, str] = field(default_factory=dict)
    tests: list[str] = field(default_factory=list)
    missing: str = ""
    """Why there is no test yet, or what is still missing."""


SECTION = "section"
"""The argument that names the heading of a row's table, where a page has several."""

FAULTS = Table(
    "faults.md",
    "shows_fault",
    ("part", "fault"),
    ("expected",),
    ("part", "fault", "where its events must be", "shown by"),
)
LOSS_PATHS = Table(
    "loss-paths.md",
    "shows_loss_path",
    ("fails",),
    (SECTION, "event_is", "told", "comes_back"),
    ("what fails", "where the event is", "who is notified", "how it comes back", "shown by"),
)
# Faults that no test shows yet, or not wholly.
NOT_YET = (
    Row(
        ("Firehose", "missing table"),
        {"expected": "rows wait in Firehose for a day at most; the alarm on late delivery fires"},
        missing="others saw delivery stop; AWS does not document it, so there is nothing to model it from",
    ),
    Row(
        ("migration", "the previous release on the new schema"),
        missing="a whole stack of the previous release on this schema",
    ),
)
PAGES = ((FAULTS, NOT_YET), (LOSS_PATHS, ()))
GLOSSARY = ROOT / "docs" / "glossary.md"
METRICS_HEADING = "## Metrics"


def main() -> None:
    """Write the pages."""
    for table, not_yet in PAGES:
        page = ROOT / "docs" / table.page
        page.write_text(write_page(page.read_text(), table, collect(ROOT / "tests", table, not_yet)))
    # The shared package is not installed; pytest finds it by its own settings.
    sys.path.append(str(ROOT / "layers" / "sluice" / "python"))
    from sluice.core.metrics import METRICS
    from tests.docs.notifications import PAGE, write_examples

    GLOSSARY.write_text(write_metrics(GLOSSARY.read_text(), METRICS))
    PAGE.write_text(write_examples(PAGE.read_text()))


def write_metrics(page: str, metrics: Iterable["Metric"]) -> str:
    """Put the metrics into the page, by name, in place of the table under their heading."""
    before, heading, section = page.partition(f"{METRICS_HEADING}\n")
    lines = section.splitlines()
    places = [place for place, line in enumerate(lines) if line.startswith("|")]
    if not heading or not places:
        raise PageError(f"the page has no table under {METRICS_HEADING}")
    lines[places[0] : places[-1] + 1] = _list_metrics(metrics)
    return before + heading + "\n".join(lines) + "\n"


def _list_metrics(metrics: Iterable["Metric"]) -> Iterator[str]:
    yield "| metric | unit | further dimensions | meaning |"
    yield "|---" * 4 + "|"
    for metric in sorted(metrics, key=lambda metric: metric.name.lower()):
        dimensions = ", ".join(f"`{name}`" for name in metric.dimensions)
        yield f"| `{metric.name}` | {metric.unit} | {dimensions} | {metric.means} |"


def collect(tests: Path, table: Table, not_yet: Sequence[Row] = ()) -> list[Row]:
    """Collect the rows of a table from the markers on tests."""
    rows: dict[tuple[str, ...], Row] = {}
    for test, said in _find_markers(tests, table.marker):
        names = tuple(said.pop(name, "") for name in table.names)
        if not all(names) or said.keys() - set(table.texts):
            raise PageError(f"{test}: a marker {table.marker} says {', '.join((*table.names, *table.texts))}")
        row = rows.setdefault(names, Row(names))
        if row.texts and said:
            raise PageError(f"{test}: another test says the texts of {names} already")
        row.texts |= said
        row.tests.append(test)
    for gap in not_yet:
        row = rows.setdefault(gap.names, Row(gap.names))
        if row.texts and gap.texts:
            raise PageError(f"a test says the texts of {gap.names}, and so does the list of what is not shown yet")
        row.texts |= gap.texts
        row.missing = gap.missing
    for row in rows.values():
        if row.texts.keys() != set(table.texts):
            raise PageError(f"no test says {', '.join(table.texts)} of {row.names}")
    return list(rows.values())


def _find_markers(tests: Path, marker: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Read the markers of tests and their arguments, without running anything."""
    for path in sorted(tests.rglob("test_*.py")):
        nodes = list(ast.walk(ast.parse(path.read_text())))
        left = sum(isinstance(node, ast.Attribute) and node.attr == marker for node in nodes)
        for test in (node for node in nodes if isinstance(node, ast.FunctionDef)):
            name = f"{path.relative_to(tests)}::{test.name}"
            for decorator in test.decorator_list:
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == f"pytest.mark.{marker}":
                    left -= 1
                    yield name, _read_arguments(decorator, name)
        if left:
            raise PageError(f"{path.relative_to(tests)}: a marker {marker} stands above a test, and nowhere else")


def _read_arguments(decorator: ast.Call, test: str) -> dict[str, str]:
    said = {str(one.arg): one.value.value for one in decorator.keywords if isinstance(one.value, ast.Constant)}
    texts = {name: text for name, text in said.items() if isinstance(text, str) and not {"|", "\n"} & set(text)}
    if decorator.args or len(texts) != len(decorator.keywords):
        raise PageError(f"{test}: a marker says texts of one line, each by its name")
    return texts


def write_page(page: str, table: Table, rows: Sequence[Row]) -> str:
    """Put the rows into the page, each into the table under its heading."""
    title = page.splitlines()[0].strip("# ")
    left = {row.texts.get(SECTION, title): list[Row]() for row in rows}
    for row in sorted(rows, key=lambda row: _place_in(page, row)):
        left[row.texts.get(SECTION, title)].append(row)
    lines, heading, inside = list[str](), title, False
    for line in page.splitlines():
        if line.startswith("#"):
            heading = line.strip("# ")
        if line.startswith("|"):
            if not inside:
                lines += _write_table(table, left.pop(heading, []))
            inside = True
        else:
            lines.append(line)
            inside = False
    if left:
        raise PageError(f"{table.page} has no table under {', '.join(left)}")
    return "\n".join(lines) + "\n"


def _place_in(page: str, row: Row) -> int:
    place = page.find(f"\n| {' | '.join(row.names)} | ")
    return place if place >= 0 else len(page)


def _write_table(table: Table, rows: Sequence[Row]) -> Iterator[str]:
    yield f"| {' | '.join(table.head)} |"
    yield "|---" * len(table.head) + "|"
    for row in rows:
        cells = [*row.names, *_texts_in_row(table, row.texts)]
        shown = ", ".join(f"`{test}`" for test in row.tests)
        cells.append(" — ".join(filter(None, (shown, f"not yet: {row.missing}" if row.missing else ""))))
        yield f"| {' | '.join(cells)} |"


def _texts_in_row(table: Table, texts: Mapping[str, str]) -> Iterator[str]:
    return (texts[name] for name in table.texts if name != SECTION)


if __name__ == "__main__":
    main()
