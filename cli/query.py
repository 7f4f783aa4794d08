"""Ask the raw store: the same SQL to the local stack's model of Athena and to a deployed stage's Athena."""

import json
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from cli import local_athena
from cli.aws import REMEMBER
from cli.stages import CommandError, Directory, Stage, Target, choose, read_stack
from cli.terminal import print_rows, print_table

NAMED = Path(__file__).parents[1] / "infra" / "athena"


class Found(NamedTuple):
    """What a statement found."""

    columns: list[str]
    rows: list[tuple[Any, ...]]


def list_named() -> list[str]:
    """List the named queries; the other files are views, which have no parameters."""
    return sorted(path.stem for path in NAMED.glob("*.sql") if "-- Parameters: " in path.read_text())


def run(
    parameters: Annotated[
        list[str] | None, typer.Argument(metavar="VALUE", help="The values of the query's question marks, in order.")
    ] = None,
    sql: Annotated[
        str,
        typer.Option(
            metavar="SQL", help="A statement over events, stored_events, raw_events, dead_letters or rollups."
        ),
    ] = "",
    name: Annotated[
        str, typer.Option(metavar="NAME", help=f"A named query: {', '.join(list_named())}.", autocompletion=list_named)
    ] = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print each row as a JSON object of its columns, one a line.")
    ] = False,
    stage: Stage = "",
    directory: Directory = None,
) -> None:
    """Run a query over the lake.

    The same SQL runs on a deployed stage's Athena and on the local stack's model of it. Rows are a table on a terminal
    and CSV in a pipe. In JSON, local values are texts or null, as Athena writes them; a deployed stage's numbers and
    booleans are JSON's own, and everything else is text.
    """
    if bool(sql.strip()) == bool(name):
        raise CommandError("say what to run: either --sql '...' or --name NAME", 2)
    if name and name not in list_named():
        raise CommandError(f"{name!r} is no named query: choose one of {', '.join(list_named())}", 2)
    target, values = choose(stage, directory), parameters or []
    if name:
        sql = (NAMED / f"{name}.sql").read_text()
        values = fill(sql, values)
    found = ask(target, sql, values)
    (print_rows if as_json else print_table)(*found)
    if not target.stage and (buffered := _count_buffered(target)):
        print(f"still buffered, to appear within the flush interval: {buffered} rows", file=sys.stderr)


def fill(sql: str, given: Sequence[str]) -> list[str]:
    """Give every question mark of a named query its value; a parameter that comes twice is asked for once."""
    (line,) = (line for line in sql.splitlines() if line.startswith("-- Parameters: "))
    places = line.removeprefix("-- Parameters: ").rstrip(".").split(", ")
    names = list(dict.fromkeys(places))
    if len(given) != len(names):
        raise CommandError(f"this query takes {len(names)} values: {', '.join(names)}; {len(given)} were given", 2)
    values = dict(zip(names, given, strict=True))
    return [values[name] for name in places]


def ask(target: Target, sql: str, parameters: Sequence[str]) -> Found:
    """Run a statement at a stage."""
    # Athena takes a parameter for a string only when it is quoted as one.
    quoted = ["'" + value.replace("'", "''") + "'" for value in parameters]
    if target.stage:
        return _ask_athena(target, sql, quoted)
    stack = read_stack(target.dir)
    workgroup = f"sluice-{stack['stage']}-analysts"
    return Found(*local_athena.run(stack["athena"], workgroup, stack["catalog"], sql, quoted))


def _count_buffered(target: Target) -> int:
    """Count the rows that the local model of Firehose has not written yet."""
    address = f"{read_stack(target.dir)['firehose']}/_model/buffered"
    with urllib.request.urlopen(address, timeout=10) as answer:  # noqa: S310 - loopback
        return sum(stream["lines"] for stream in json.load(answer).values())


def _ask_athena(target: Target, sql: str, parameters: list[str]) -> Found:
    # Imported here: pandas takes longer to load than a local query takes to run.
    import awswrangler
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        frame = awswrangler.athena.read_sql_query(
            sql,
            database=f"sluice_{target.stage.replace('-', '_')}",
            workgroup=f"sluice-{target.stage}-analysts",
            ctas_approach=False,
            params=parameters,
            paramstyle="qmark",
            boto3_session=boto3.Session(profile_name=target.aws_profile, region_name=target.region),
        )
    except BotoCoreError as error:
        raise CommandError(
            f"Athena cannot be asked from here: {str(error).rstrip('.')}. {REMEMBER}",
            2,
        ) from error
    except awswrangler.exceptions.QueryFailed as error:
        raise CommandError(f"the query failed: {error}", 2) from error
    except ClientError as error:
        raise CommandError(f"Athena did not answer: {error}") from error
    # pandas has several kinds of nothing.
    rows = frame.astype(object).where(frame.notna(), None)
    return Found(list(frame.columns), list(rows.itertuples(index=False, name=None)))
