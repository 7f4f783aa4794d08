"""A named query takes its values by name, and prints every one that it needs."""

from pathlib import Path

import pytest

from cli.query import NAMED, fill
from cli.stages import CommandError


def test_a_value_that_a_query_needs_twice_is_asked_for_once() -> None:
    sql = "-- What it is.\n-- Parameters: device, from, to, from, to.\nSELECT ?, ?, ?, ?, ?"
    assert fill(sql, ["d", "1", "2"]) == ["d", "1", "2", "1", "2"]


def test_too_few_values_are_refused_with_the_names_of_all() -> None:
    with pytest.raises(CommandError, match="3 values: device, from, to; 1 were given"):
        fill("-- Parameters: device, from, to, from, to.\n", ["d"])


@pytest.mark.parametrize("path", sorted(NAMED.glob("*_between.sql")), ids=lambda path: path.stem)
def test_every_named_query_says_as_many_parameters_as_it_has_question_marks(path: Path) -> None:
    sql = path.read_text()
    (line,) = (line for line in sql.splitlines() if line.startswith("-- Parameters: "))
    statement = "\n".join(line for line in sql.splitlines() if not line.startswith("--"))
    assert len(line.split(", ")) == statement.count("?")
