"""Ask the raw store: the same SQL to the local stack's model of Athena and to a deployed stage's Athena."""

import argparse
import json
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cli import local_athena
from cli.stages import CommandError, begin_parser, read_stack
from cli.terminal import print_table

NAMED = Path(__file__).parents[1] / "infra" / "athena"


class Found(NamedTuple):
    """What a statement found."""

    columns: list[str]
    rows: list[tuple[Any, ...]]


def main(arguments: Sequence[str]) -> int:
    """Run one query and print its rows."""
    options = _parse(arguments)
    sql = (NAMED / f"{options.name}.sql").read_text() if options.name else options.sql
    print_table(*ask(options, sql, fill(sql, options.parameters) if options.name else options.parameters))
    if not options.stage and (buffered := _count_buffered(options)):
        print(f"still buffered, to appear within the flush interval: {buffered} rows", file=sys.stderr)
    return 0


def fill(sql: str, given: Sequence[str]) -> list[str]:
    """Give every question mark of a named query its value; a parameter that comes twice is asked for once."""
    (line,) = (line for line in sql.splitlines() if line.startswith("-- Parameters: "))
    places = line.removeprefix("-- Parameters: ").rstrip(".").split(", ")
    names = list(dict.fromkeys(places))
    if len(given) != len(names):
        raise CommandError(f"this query takes {len(names)} values: {', '.join(names)}; {len(given)} were given", 2)
    values = dict(zip(names, given, strict=True))
    return [values[name] for name in places]


def ask(options: argparse.Namespace, sql: str, parameters: Sequence[str]) -> Found:
    """Run a statement at the stage that the options name."""
    if not sql.strip():
        raise CommandError("there is no SQL to run; say SQL='...' or NAME=...", 2)
    # Athena takes a parameter for a string only when it is quoted as one.
    quoted = ["'" + value.replace("'", "''") + "'" for value in parameters]
    if options.stage:
        return _ask_athena(options.stage, sql, quoted)
    stack = read_stack(options.dir)
    workgroup = f"sluice-{stack['stage']}-analysts"
    return Found(*local_athena.run(stack["athena"], workgroup, stack["catalog"], sql, quoted))


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    # The others are views, which have no parameters.
    names = sorted(path.stem for path in NAMED.glob("*.sql") if "-- Parameters: " in path.read_text())
    parser = begin_parser("query", __doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--sql", help="a statement over events, stored_events, raw_events, dead_letters or rollups")
    what.add_argument("--name", choices=names, help="a named query")
    parser.add_argument("parameters", nargs="*", help="the values of the query's question marks, in order")
    return parser.parse_args(arguments)


def _count_buffered(options: argparse.Namespace) -> int:
    """Count the rows that the local model of Firehose has not written yet."""
    address = f"{read_stack(options.dir)['firehose']}/_model/buffered"
    with urllib.request.urlopen(address, timeout=10) as answer:  # noqa: S310 - loopback
        return sum(stream["lines"] for stream in json.load(answer).values())


def _ask_athena(stage: str, sql: str, parameters: list[str]) -> Found:
    # Imported here: pandas takes longer to load than a local query takes to run.
    import awswrangler
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        frame = awswrangler.athena.read_sql_query(
            sql,
            database=f"sluice_{stage.replace('-', '_')}",
            workgroup=f"sluice-{stage}-analysts",
            ctas_approach=False,
            params=parameters,
            paramstyle="qmark",
        )
    except (BotoCoreError, ClientError, awswrangler.exceptions.QueryFailed) as error:
        raise CommandError(f"Athena did not answer: {error}") from error
    return Found(list(frame.columns), list(frame.itertuples(index=False, name=None)))
