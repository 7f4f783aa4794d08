"""A series in a CSV file, read line by line."""

import csv
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from cli.stages import CommandError
from sluice.core.detect.rules import Reading

COLUMNS = ("timestamp", "value")


class Row(Reading, frozen=True):
    """A reading with its time as the file has it."""

    timestamp: str


def read_series(path: Path) -> Iterator[Row]:
    """Yield the rows of a file; the first one that cannot be read ends the command."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            if missing := [name for name in COLUMNS if name not in (rows.fieldnames or ())]:
                raise CommandError(f"{path} has no column {missing[0]}: its first line names timestamp and value", 2)
            for row in rows:
                yield _read(row["timestamp"] or "", row["value"] or "", f"{path}, line {rows.line_num}")
    except (UnicodeDecodeError, csv.Error) as error:
        raise CommandError(f"{path} is no CSV file in UTF-8: {error}", 2) from error


def _read(timestamp: str, value: str, where: str) -> Row:
    try:
        moment = datetime.fromisoformat(timestamp)
    except ValueError:
        raise CommandError(f"{where}: {timestamp!r} is no time such as 2026-11-30 10:00:00", 2) from None
    try:
        number = float(value)
    except ValueError:
        raise CommandError(f"{where}: {value!r} is no number", 2) from None
    if not math.isfinite(number):
        raise CommandError(f"{where}: the value is {number}; leave such lines out", 2)
    return Row(moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment, number, timestamp)
