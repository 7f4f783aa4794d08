"""The pages say what the markers on tests say, and the glossary what the registry of metrics says."""

from pathlib import Path

import pytest

from sluice.core.metrics import METRICS, Metric
from tests.docs.pages import (
    FAULTS,
    GLOSSARY,
    LOSS_PATHS,
    NOT_YET,
    PAGES,
    PageError,
    Row,
    Table,
    collect,
    write_metrics,
    write_page,
)

ROOT = Path(__file__).parents[2]
SAID = '@pytest.mark.shows_fault(part="ingest", fault="killed", expected="nothing is lost")\n'
AGAIN = '@pytest.mark.shows_fault(part="ingest", fault="killed")\n'
TEST = "def test_it() -> None: ...\n"
TWO_TABLES = """# Loss paths

## Before

| old | table |
|---|---|
| b | in Kafka | us | later | by hand |

Words between.

## After

| old | table |
|---|---|
"""


@pytest.mark.parametrize(("table", "not_yet"), PAGES, ids=[table.page for table, _ in PAGES])
def test_a_page_is_what_its_tests_say(table: Table, not_yet: tuple[Row, ...]) -> None:
    page = (ROOT / "docs" / table.page).read_text()
    wanted = write_page(page, table, collect(ROOT / "tests", table, not_yet))
    assert page == wanted, "the page is stale; write it again: .venv/bin/python -m tests.docs.pages"


def test_the_metrics_of_the_glossary_are_those_of_the_registry() -> None:
    page = GLOSSARY.read_text()
    assert page == write_metrics(page, METRICS), (
        "the page is stale; write it again: .venv/bin/python -m tests.docs.pages"
    )


def test_metrics_replace_the_table_under_their_heading_and_are_sorted() -> None:
    page = "# Glossary\n\n| a |\n|---|\n\n## Metrics\n\nWords.\n\n| old |\n|---|\n| b |\n\nMore words.\n"
    written = write_metrics(page, [Metric("Seen", "Count", "Second."), Metric("Lost", "Count", "First.", ("fleet",))])
    assert written == (
        "# Glossary\n\n| a |\n|---|\n\n## Metrics\n\nWords.\n\n"
        "| metric | unit | further dimensions | meaning |\n|---|---|---|---|\n"
        "| `Lost` | Count | `fleet` | First. |\n| `Seen` | Count |  | Second. |\n\nMore words.\n"
    )


@pytest.mark.parametrize("page", ["| a |\n|---|\n", "| a |\n|---|\n\n## Metrics\n\nWords.\n"])
def test_a_glossary_without_a_table_of_metrics_is_refused(page: str) -> None:
    with pytest.raises(PageError, match="no table under ## Metrics"):
        write_metrics(page, METRICS)


def test_every_file_of_fault_tests_shows_a_fault() -> None:
    named = {test.partition("::")[0] for row in collect(ROOT / "tests", FAULTS, NOT_YET) for test in row.tests}
    # The test of the checker and the search for secrets break nothing.
    others = {"faults/test_checker.py", "faults/test_zz_secrets.py"}
    found = {f"faults/{path.name}" for path in (ROOT / "tests/faults").glob("test_*.py")}
    assert found - others <= named


def test_several_tests_may_show_a_row_and_one_of_them_says_its_texts(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text(AGAIN + TEST)
    (tmp_path / "test_b.py").write_text(SAID + TEST)
    (row,) = collect(tmp_path, FAULTS)
    assert row.texts == {"expected": "nothing is lost"}
    assert row.tests == ["test_a.py::test_it", "test_b.py::test_it"]


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (AGAIN + TEST, "no test says expected"),
        (SAID + TEST + SAID + TEST, "another test says the texts"),
        (f"pytestmark = {AGAIN[1:]}{TEST}", "stands above a test, and nowhere else"),
        (f"import pytest as pt\n{AGAIN.replace('pytest', 'pt')}{TEST}", "stands above a test, and nowhere else"),
        (SAID.replace("expected=", "expects=") + TEST, "says part, fault, expected"),
        (SAID.replace('part="ingest", ', "") + TEST, "says part, fault, expected"),
        (SAID.replace('"killed"', "KILLED") + TEST, "texts of one line, each by its name"),
        (SAID.replace('"killed"', '"a | b"') + TEST, "texts of one line, each by its name"),
        (SAID.replace("part=", "") + TEST, "texts of one line, each by its name"),
    ],
)
def test_a_marker_that_could_not_be_shown_is_refused(source: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text(source)
    with pytest.raises(PageError, match=says):
        collect(tmp_path, FAULTS)


def test_what_is_not_shown_yet_leaves_the_list_with_its_test(tmp_path: Path) -> None:
    (tmp_path / "test_a.py").write_text(SAID + TEST)
    with pytest.raises(PageError, match="so does the list"):
        collect(tmp_path, FAULTS, [Row(("ingest", "killed"), {"expected": "nothing"}, missing="no test yet")])
    (row,) = collect(tmp_path, FAULTS, [Row(("ingest", "killed"), missing="by a signal only")])
    assert (row.tests, row.missing) == (["test_a.py::test_it"], "by a signal only")


def path(fails: str, section: str) -> Row:
    texts = {"section": section, "event_is": "in Kafka", "told": "us", "comes_back": "by itself"}
    return Row((fails,), texts, ["test_a.py::test_it"])


def test_rows_keep_the_order_of_the_page_and_new_ones_come_last_under_their_heading() -> None:
    rows = [path("a", "Before"), path("b", "Before"), path("c", "After")]
    written = write_page(TWO_TABLES, LOSS_PATHS, rows)
    said = [line.split(" | ")[0] for line in written.splitlines() if "in Kafka" in line or line.startswith("#")]
    assert said == ["# Loss paths", "## Before", "| b", "| a", "## After", "| c"]
    assert "Words between." in written
    assert "by hand" not in written
    assert write_page(written, LOSS_PATHS, rows) == written


def test_a_row_without_a_table_is_refused() -> None:
    with pytest.raises(PageError, match="no table under Elsewhere"):
        write_page(TWO_TABLES, LOSS_PATHS, [path("a", "Elsewhere")])
