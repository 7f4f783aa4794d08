"""List and count dead letters: what was refused or given up, why, and what it was."""

import json
import re
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

import typer

from cli.dead_letters.search import Search, count_letters, list_letters, read_time, read_whole
from cli.dead_letters.text import CONDITIONS, describe_group, describe_letter, print_counts, print_list, write_whole
from cli.stages import CommandError, Directory, Stage, choose
from sluice.core.failures.letters import Letter
from sluice.core.times import write_time

DEFAULT_RANGE = timedelta(days=1)
EARLIEST = datetime.min.replace(tzinfo=UTC)
DEFAULT_LIMIT, MOST = 50, 1000
SHORTEST_ID = 6


class By(StrEnum):
    """What dead letters are counted by; an option that comes several times takes no Literal."""

    FLEET = "fleet"
    DEVICE = "device"
    CONTRACT = "contract"
    REASON = "reason"
    CONSUMER = "consumer"


def run(
    letter_id: Annotated[
        str,
        typer.Argument(metavar="ID", help=f"Show this one whole; its first {SHORTEST_ID} digits or more are enough."),
    ] = "",
    fleet: Annotated[str, typer.Option(metavar="FLEET", help="Only of this fleet.")] = "",
    device: Annotated[str, typer.Option(metavar="DEVICE", help="Only of this device, as the event names it.")] = "",
    contract: Annotated[str, typer.Option(metavar="CONTRACT", help="Only of this contract, such as telemetry.")] = "",
    reason: Annotated[
        str, typer.Option(metavar="CODE", help="Only with this reason: the code that a device gets, or a consumer's.")
    ] = "",
    consumer: Annotated[
        str, typer.Option(metavar="FUNCTION", help="Only given up by this function; ingest refuses events.")
    ] = "",
    first: Annotated[
        str, typer.Option("--from", metavar="TIME", help="Failed then or later. Without: a day before --to.")
    ] = "",
    last: Annotated[str, typer.Option("--to", metavar="TIME", help="Failed before then. Without: now.")] = "",
    by: Annotated[
        list[By] | None, typer.Option(help="Count by this instead of listing. May come several times.")
    ] = None,
    limit: Annotated[
        int, typer.Option(metavar="NUMBER", min=1, max=MOST, help="How many to list, of counts the largest.")
    ] = DEFAULT_LIMIT,
    as_json: Annotated[bool, typer.Option("--json", help="Print the same as one JSON object.")] = False,
    stage: Stage = "",
    directory: Directory = None,
) -> None:
    """List and count what was refused or given up.

    The newest first. A time is as 2026-01-31T12:00:00Z, or a day; without a zone it is UTC. A new dead letter appears
    within a minute or two, and is kept for 30 days unless the profile says otherwise. The JSON has the time range, how
    many there are in it (found), and the items: each a dead letter of schemas/dead_letter/1.json without version, with
    its bytes if an ID is given; or with --by a count.
    """
    given = {"fleet": fleet, "device": device, "contract": contract, "reason": reason, "consumer": consumer}
    equal = {column: given[name] for name, column in CONDITIONS.items() if given[name]}
    search = Search(*_read_range(first, last), equal, _check_id(letter_id))
    if letter_id and by:
        raise CommandError("an ID shows one dead letter: leave out --by, or leave out the ID to count", 2)
    target = choose(stage, directory)
    if letter_id:
        whole = _check_one(read_whole(target, search), search)
        if as_json:
            _print_json(search, len(whole), map(describe_letter, whole))
        else:
            print(*write_whole(whole), sep="\n")
    elif by:
        found, groups = count_letters(target, search, [CONDITIONS[name] for name in dict.fromkeys(by)], limit)
        if as_json:
            _print_json(search, found, map(describe_group, groups))
        else:
            print_counts(list(dict.fromkeys(by)), groups)
            _tell(search, len(groups), found, "counts, the largest first")
    else:
        found, letters = list_letters(target, search, limit)
        if as_json:
            _print_json(search, found, map(describe_letter, letters))
        else:
            print_list(letters)
            _tell(search, len(letters), found, "dead letters, the newest first; --by reason counts all of them")


def _read_range(first: str, last: str) -> tuple[datetime, datetime]:
    end = read_time("--to", last) if last else datetime.now(UTC)
    start = read_time("--from", first) if first else end - min(DEFAULT_RANGE, end - EARLIEST)
    if start >= end:
        raise CommandError(f"--from {write_time(start)} is not before --to {write_time(end)}: choose an earlier one", 2)
    return start, end


def _check_id(given: str) -> str:
    if given and re.fullmatch(rf"[0-9a-f]{{{SHORTEST_ID},64}}", given) is None:
        raise CommandError(
            f"{given!r} is no dead letter's id: give {SHORTEST_ID} to 64 of its digits as `sluice dead-letters` lists"
            " them. `sluice trace` finds an event by its own id.",
            2,
        )
    return given


def _check_one(found: Sequence[Letter], search: Search) -> Sequence[Letter]:
    ids = sorted({letter.letter_id for letter in found})
    if not ids:
        raise CommandError(
            f"no dead letter from {write_time(search.start)} to {write_time(search.end)} has an id that begins with"
            f" {search.letter_id}: look further back with --from",
            2,
        )
    if len(ids) > 1:
        raise CommandError(f"{len(ids)} or more ids begin with {search.letter_id}: {', '.join(ids)}; give one whole", 2)
    return found


def _tell(search: Search, shown: int, found: int, what: str) -> None:
    """Say beside the table what it does not show."""
    between = f"from {write_time(search.start)[:19]}Z to {write_time(search.end)[:19]}Z"
    if not found:
        print(f"no dead letters {between}; --from looks further back", file=sys.stderr)
    elif shown < found:
        print(
            f"{shown:,} of {found:,} {what}; {between}. --limit shows up to {MOST:,}, and --fleet, --device,"
            " --contract, --reason, --consumer, --from and --to narrow it",
            file=sys.stderr,
        )


def _print_json(search: Search, found: int, items: Iterable[Any]) -> None:
    document = {"from": write_time(search.start), "to": write_time(search.end), "found": found, "items": list(items)}
    print(json.dumps(document, indent=2))
