"""Text on a terminal. What devices wrote is shown there and never obeyed."""

import csv
import json
import math
import sys
from collections.abc import Iterable, Sequence
from typing import Any


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows: a table on a terminal, CSV in a pipe."""
    if not sys.stdout.isatty():
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # As plain text, which is no markup.
    table = Table()
    for column in columns:
        table.add_column(Text(column))
    for row in rows:
        table.add_row(*(Text("\n".join(map(make_visible, str(value).split("\n")))) for value in row))
    Console().print(table)


def print_rows(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print each row as a JSON object on a line of its own."""
    for row in rows:
        print(json.dumps(dict(zip(columns, map(_write_value, row), strict=True))))


def _write_value(value: Any) -> Any:
    """Write what JSON has as such, a missing number as null, and everything else as text."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value)


def make_visible(text: str) -> str:
    """Replace every character that a terminal could obey."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
