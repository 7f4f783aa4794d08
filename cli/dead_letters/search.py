"""The dead letters that a command asks for: the question as SQL over table dead_letters, and its rows, read."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from cli import query
from cli.functions import read_answer
from cli.stages import CommandError, Target
from sluice.core.failures.letters import VERSION, Letter
from sluice.core.times import write_time

Cells = Mapping[str, Any]
"""A row: the local stack has texts, a deployed stage numbers and times as well."""

WHOLE = ("event", "event_base64", "envelope", "first_event")
"""What may be long, and is read of the one that is shown whole."""
LISTED = tuple(name for name in Letter.__struct_fields__ if name not in ("version", *WHOLE))
MOST_COPIES = 10
"""Different causes for which the same bytes were given up: more than there are consumers."""

# Files hold a dead letter as often as it was stored or sent. One given up by two consumers is two.
LETTERS = """
WITH letters AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY letter_id, reason, consumer ORDER BY failed_at DESC) AS copy
    FROM dead_letters
    WHERE {conditions}
)
"""

_INTEGERS = (
    *("schema_version", "kafka_partition", "kafka_offset", "first_kafka_partition", "first_kafka_offset"),
    *("attempts", "event_size"),
)
_TIMES = ("received_at", "failed_at")


class Search(NamedTuple):
    """Which dead letters: those that failed in a time range, and what their columns must hold."""

    start: datetime
    end: datetime
    """The first moment behind the range."""
    equal: Mapping[str, str]
    """Values by their columns."""
    letter_id: str = ""
    """How their ids begin."""


class Group(NamedTuple):
    """Dead letters with the same values in some columns, and how many there are."""

    values: Mapping[str, str | None]
    letters: int
    first_failed_at: str
    last_failed_at: str


def list_letters(target: Target, search: Search, most: int) -> tuple[int, list[Letter]]:
    """Return how many dead letters there are, and the newest of them without their bytes."""
    rows = _ask(target, search, _select(LISTED, most))
    return _count(rows), [_read_letter(row) for row in rows]


def read_whole(target: Target, search: Search) -> list[Letter]:
    """Return dead letters with their bytes, the newest first: more than one id only if the search leaves it open."""
    return [_read_letter(row) for row in _ask(target, search, _select((*LISTED, *WHOLE), MOST_COPIES))]


def count_letters(target: Target, search: Search, by: Sequence[str], most: int) -> tuple[int, list[Group]]:
    """Return how many groups there are, and the largest of them."""
    columns = ", ".join(by)
    statement = f"""
SELECT
    {columns},
    sum(CASE WHEN copy = 1 THEN 1 ELSE 0 END) AS letters,
    min(failed_at) AS first_failed_at,
    max(failed_at) AS last_failed_at,
    count(*) OVER () AS found
FROM letters
GROUP BY {columns}
ORDER BY letters DESC, {columns}
LIMIT {most}
"""  # noqa: S608 - of our own columns and a number
    rows = _ask(target, search, statement)
    return _count(rows), [_read_group(row, by) for row in rows]


def read_time(option: str, text: str) -> datetime:
    """Read a time of an option; without a zone it is UTC."""
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise CommandError(
            f"{option} {text!r} is no time: write it as 2026-01-31T12:00:00Z, or a day as 2026-01-31", 2
        ) from None


def _select(columns: Sequence[str], most: int) -> str:
    return f"""
SELECT
    {", ".join(columns)},
    count(*) OVER () AS found
FROM letters
WHERE copy = 1
ORDER BY failed_at DESC, letter_id, reason, consumer
LIMIT {most}
"""  # noqa: S608 - of our own columns and a number


def _ask(target: Target, search: Search, statement: str) -> list[Cells]:
    # The days are for the files: engines leave files unread only by conditions on dt itself.
    conditions = [
        "dt BETWEEN ? AND ?",
        "failed_at >= CAST(? AS timestamp)",
        "failed_at < CAST(? AS timestamp)",
        *(f"{column} = ?" for column in search.equal),
        *(["letter_id LIKE ?"] if search.letter_id else []),
    ]
    range_ = [search.start.astimezone(UTC).replace(tzinfo=None), search.end.astimezone(UTC).replace(tzinfo=None)]
    values = [
        *(moment.date().isoformat() for moment in range_),
        *(moment.isoformat(sep=" ", timespec="microseconds") for moment in range_),
        *search.equal.values(),
        *([f"{search.letter_id}%"] if search.letter_id else []),
    ]
    found = query.ask(target, LETTERS.format(conditions="\n        AND ".join(conditions)) + statement, values)
    return [dict(zip(found.columns, row, strict=True)) for row in found.rows]


def _count(rows: Sequence[Cells]) -> int:
    """Read how many rows there are without the limit: every row says it."""
    return int(rows[0]["found"]) if rows else 0


def _read_letter(cells: Cells) -> Letter:
    return read_answer(dict(_read_members(cells)), Letter)


def _read_members(cells: Cells) -> Iterator[tuple[str, Any]]:
    # The table has no column for the version: deadletter has checked the form of every letter in it.
    yield "version", VERSION
    # From a deployed stage, an empty text and the text NaN arrive as nothing: so pandas reads Athena's results.
    yield "detail", cells["detail"] or ""
    if cells.get("event", "") is None and cells["event_base64"] is None:
        yield "event", "NaN" if int(cells["event_size"]) else ""
    for name, value in cells.items():
        if value is None or name in ("found", "detail"):
            continue
        yield name, int(value) if name in _INTEGERS else _read_stored_time(value) if name in _TIMES else value


def _read_group(cells: Cells, by: Sequence[str]) -> Group:
    first, last = (_read_stored_time(cells[name]) for name in ("first_failed_at", "last_failed_at"))
    return Group({name: cells[name] for name in by}, int(cells["letters"]), first, last)


def _read_stored_time(value: object) -> str:
    """Read a timestamp of Athena's, which has no zone and is UTC."""
    return write_time(datetime.fromisoformat(str(value)).replace(tzinfo=UTC))
