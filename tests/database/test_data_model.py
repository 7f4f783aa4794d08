"""The data model page names everything in the database: every table, every column of the view, every term."""

import re
from pathlib import Path

import psycopg

from infra.profiles.baseline import BASELINE

PAGE = (Path(__file__).parents[2] / "docs" / "data-model.md").read_text()


def rows(heading: str) -> list[list[str]]:
    """The rows of the table below a heading, without the head."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def test_every_table_is_described_with_its_reason(database: str) -> None:
    with psycopg.connect(database) as connection:
        found = connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
            " AND NOT relispartition"
        ).fetchall()
    described = rows("Tables")
    assert sorted(name for name, _, _ in described) == sorted(f"`{name}`" for (name,) in found)
    for name, what, why in described:
        assert len(what) > 5, name
        assert len(why) > 10, name


def test_every_column_of_the_view_is_described(database: str) -> None:
    with psycopg.connect(database) as connection:
        found = connection.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = 'rollups'::regclass AND attnum > 0"
        ).fetchall()
    described = [name for columns, _ in rows("The view `rollups`") for name in re.findall(r"`(\w+)`", columns)]
    assert sorted(described) == sorted(name for (name,) in found)


def test_terms_are_those_of_the_settings() -> None:
    terms = {what: kept for what, kept, _ in rows("Partitions and their end")}
    ours = BASELINE.maintain
    waiting = f"up to {ours.waiting_sample_hours} while windows still wait to be rolled from them"
    assert terms["samples"] == f"{ours.sample_hours} hours; {waiting}"
    assert terms["rollups of days"] == f"{ours.summary_days} days"
    assert terms["changes"] == f"{ours.change_hours} hours"
    assert ours.outcome_days == ours.sighting_days
    assert terms["outcomes, unknown fields, firmware a device no longer reports"] == f"{ours.outcome_days} days"
    assert terms["dead-lettered records, what replays have counted"] == f"{ours.outcome_days} days"
