"""`sluice schema`: versions of contracts, as files."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from cli.control.options import AsJson
from cli.control.output import show_json, show_list
from cli.schema.lines import find_line, list_lines
from cli.schema.text import (
    NOT_LOOKED_AT,
    annotate,
    describe_check,
    describe_fields,
    write_annotation,
    write_change,
    write_summary,
)
from cli.stages import CommandError, find_checkout
from sluice.core.events.contracts import ACTIVITY, READING, TELEMETRY
from sluice.core.events.units import SeriesBook
from sluice.core.schemas.comparison import compare, find_previous_version
from sluice.core.schemas.errors import UnsupportedSchema
from sluice.core.schemas.parser import MOST_BYTES, parse_version
from sluice.core.schemas.versions import Version

CONTRACTS = (TELEMETRY, READING, ACTIVITY)
COLUMNS = ("contract", "version", "firmware", "field", "type", "presence", "series", "unit")

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Check a new version of a contract, and show the released ones. All of it is read from files.",
)


def _check_contract(given: str) -> str:
    if given and given not in CONTRACTS:
        raise CommandError(f"{given!r} is no contract; contracts are {', '.join(CONTRACTS)}", 2)
    return given


@app.command()
def check(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="The candidate: a JSON Schema.", exists=True, dir_okay=False)
    ],
    against: Annotated[
        Path | None,
        typer.Option(
            "--against",
            metavar="FILE",
            help="The previous version. Without: the version of its contract before it in schemas/.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    as_json: AsJson = False,
    annotations: Annotated[
        bool, typer.Option("--annotations", help="Print breaking changes as annotations of a run of GitHub Actions.")
    ] = False,
) -> None:
    """Check whether a candidate may be the next version of its contract: what it breaks, and what its mapping covers.

    It ends with 0 if nothing is broken, or the candidate's mapping covers each breaking change; with 1 if not; and with
    2 if the candidate is no schema that Sluice supports. The JSON has breaking_changes, each with its compatibility
    rule, its path and its mapping.
    """
    if as_json and annotations:
        raise CommandError("--json and --annotations exclude each other", 2)
    book = _read_book()
    content = _read(file)
    lines = list_lines(content.decode(errors="replace"))
    try:
        candidate = parse_version(content, book)
        released = _read_released(book) if against is None else [_read_version(against, book)]
        if against is not None and released[0].contract != candidate.contract:
            raise CommandError(f"{against} is {released[0].name}: a candidate is compared with its own contract", 2)
        previous = find_previous_version(candidate, released)
    except UnsupportedSchema as unsupported:
        line = find_line(lines, unsupported.place)
        if annotations:
            print(write_annotation("error", str(file), line, unsupported.code, f"{unsupported.path}: {unsupported}"))
        raise CommandError(f"{file}:{line}: {unsupported.path}: {unsupported}", 2) from None
    changes = () if previous is None else compare(previous, candidate, book)
    if as_json:
        show_json(describe_check(candidate, previous, changes, lines))
    else:
        for change in changes:
            print((annotate if annotations else write_change)(str(file), lines, change))
        print(write_summary(candidate, previous, changes))
        print(f"Not looked at: {', '.join(NOT_LOOKED_AT)}.")
    if not all(change.covered for change in changes):
        raise typer.Exit(1)


@app.command("show")
def show_versions(
    contract: Annotated[
        str,
        typer.Argument(
            metavar="[CONTRACT]",
            help="telemetry, reading or activity. Without: all.",
            callback=_check_contract,
            autocompletion=lambda: list(CONTRACTS),
        ),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Show the fields of each released version, and which series a metric continues in which unit.

    The JSON has them as items.
    """
    versions = _read_released(_read_book())
    fields = [field for each in versions if contract in ("", each.contract) for field in describe_fields(each)]
    show_list(fields, COLUMNS, as_json)


def _read_released(book: SeriesBook) -> list[Version]:
    folders = (find_checkout() / "schemas" / contract for contract in CONTRACTS)
    versions = [_read_version(path, book) for folder in folders for path in folder.glob("*.json")]
    return sorted(versions, key=lambda version: (CONTRACTS.index(version.contract), version.number))


def _read_version(path: Path, book: SeriesBook) -> Version:
    try:
        return parse_version(_read(path), book)
    except UnsupportedSchema as unsupported:
        raise CommandError(f"{path}: {unsupported.path}: {unsupported}", 2) from None


def _read_book() -> SeriesBook:
    return msgspec.json.decode((find_checkout() / "schemas" / "series.json").read_bytes(), type=SeriesBook)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MOST_BYTES + 1)
