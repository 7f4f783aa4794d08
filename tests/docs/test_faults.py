"""The page of faults says what the matrix says, and every test that the matrix names is there."""

from pathlib import Path

import pytest

from tests.faults.matrix import MATRIX, Cell, write_table

ROOT = Path(__file__).parents[2]


def test_the_page_holds_the_matrix() -> None:
    page = (ROOT / "docs/faults.md").read_text()
    assert write_table() in page, "write it anew: python -m tests.faults.matrix"


@pytest.mark.parametrize("cell", MATRIX, ids=lambda cell: f"{cell.part}: {cell.fault}")
def test_a_cell_names_tests_that_are_there_or_says_why_it_has_none(cell: Cell) -> None:
    assert cell.shown_by or cell.not_yet
    for test in cell.shown_by:
        file, _, name = test.partition("::")
        path = ROOT / "tests" / file
        if not path.exists():
            assert cell.not_yet, f"{file} is not there"
        elif name:
            assert f"def {name}(" in path.read_text(), f"{name} is not in {file}"


def test_every_test_of_the_stack_in_faults_shows_a_cell() -> None:
    named = {test.partition("::")[0] for cell in MATRIX for test in cell.shown_by}
    # The checker's own test and the search for secrets break nothing.
    others = {"faults/test_checker.py", "faults/test_zz_secrets.py"}
    found = {f"faults/{path.name}" for path in (ROOT / "tests/faults").glob("test_*.py")}
    assert found - others <= named
