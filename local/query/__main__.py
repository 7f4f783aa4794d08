"""`make query`: one SQL statement or one named query, and its rows."""

import argparse
import csv
import json
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from local.query.catalog import SQL, open_store


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one query and print its rows: a table on a terminal, CSV in a pipe."""
    options = _parse(arguments)
    sql = (SQL / f"{options.name}.sql").read_text() if options.name else options.sql
    try:
        values = fill(sql, options.parameters) if options.name else options.parameters
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    if options.stage:
        return _ask_athena(options.stage, sql, values)
    stack_file = options.dir / "stack.json"
    if not stack_file.exists():
        print("no stack is running here; start one with `make up` or `make demo`", file=sys.stderr)
        return 2
    return _ask_local(json.loads(stack_file.read_text()), sql, values)


def fill(sql: str, given: list[str]) -> list[str]:
    """Give every question mark of a named query its value; a parameter that comes twice is asked for once."""
    (line,) = (line for line in sql.splitlines() if line.startswith("-- Parameters: "))
    places = line.removeprefix("-- Parameters: ").rstrip(".").split(", ")
    names = list(dict.fromkeys(places))
    if len(given) != len(names):
        raise ValueError(f"this query takes {len(names)} values: {', '.join(names)}; {len(given)} were given")
    values = dict(zip(names, given, strict=True))
    return [values[name] for name in places]


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    names = sorted(path.stem for path in SQL.glob("*.sql") if path.stem != "events")
    parser = argparse.ArgumentParser(prog="query", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--sql", help="a statement over raw_events, events, dead_letters or rollups")
    what.add_argument("--name", choices=names, help="a named query")
    parser.add_argument("--stage", help="ask the Athena of this deployed stage instead of the local stack")
    parser.add_argument("--dir", type=Path, default=Path(".local"), help="the local stack's directory")
    parser.add_argument("parameters", nargs="*", help="the values of the query's question marks, in order")
    return parser.parse_args(arguments)


def _ask_local(stack: dict[str, Any], sql: str, parameters: list[str]) -> int:
    import duckdb
    import pyarrow

    try:
        found = open_store(stack, sql).execute(sql, parameters)
        if found is None:
            print("there is no statement to run; say SQL='...' or NAME=...", file=sys.stderr)
            return 2
        columns, rows = [column[0] for column in found.description or ()], found.fetchall()
    except (duckdb.Error, pyarrow.ArrowException) as error:
        print(f"the query failed: {error}", file=sys.stderr)
        return 1
    print_rows(columns, rows)
    with urllib.request.urlopen(f"{stack['firehose']}/_model/buffered", timeout=10) as answer:  # noqa: S310 -- loopback
        buffered = sum(stream["lines"] for stream in json.load(answer).values())
    if buffered:
        print(f"still buffered, to appear within the flush interval: {buffered} rows", file=sys.stderr)
    return 0


def _ask_athena(stage: str, sql: str, parameters: list[str]) -> int:
    # Imported here: pandas takes longer to load than a local query takes to run.
    import awswrangler
    from botocore.exceptions import BotoCoreError, ClientError

    # Athena takes a parameter for a string only when it is quoted as one.
    quoted = ["'" + value.replace("'", "''") + "'" for value in parameters]
    try:
        frame = awswrangler.athena.read_sql_query(
            sql,
            database=f"sluice_{stage.replace('-', '_')}",
            workgroup=f"sluice-{stage}-analysts",
            ctas_approach=False,
            params=quoted,
            paramstyle="qmark",
        )
    except (BotoCoreError, ClientError, awswrangler.exceptions.QueryFailed) as error:
        print(f"Athena did not answer: {error}", file=sys.stderr)
        return 1
    print_rows(list(frame.columns), list(frame.itertuples(index=False, name=None)))
    return 0


def print_rows(columns: list[str], rows: list[tuple[Any, ...]]) -> None:
    """Print rows: a table on a terminal, CSV in a pipe."""
    if not sys.stdout.isatty():
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # As plain text: what a device wrote is neither markup nor a command to this terminal.
    table = Table()
    for column in columns:
        table.add_column(Text(column))
    for row in rows:
        table.add_row(*(Text(_visible(str(value))) for value in row))
    Console().print(table)


def _visible(text: str) -> str:
    return "".join(character if character.isprintable() or character == "\n" else "\ufffd" for character in text)


if __name__ == "__main__":
    sys.exit(main())
