"""Say what became of every event of a day, fleet by fleet."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from typing import Annotated

import typer

from cli.functions import find_function, read_answer
from cli.stages import CommandError, Directory, Stage, choose
from cli.terminal import make_visible
from sluice.core.consumers import ACCOUNTED
from sluice.core.ledger.statement import NOT_YET, FleetAccount, State, Statement


def run(
    day: Annotated[str, typer.Option(metavar="YYYY-MM-DD", help="The day, in UTC. Without: today.")] = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the statement of all fleets as JSON, as reconcile answers it.")
    ] = False,
    stage: Stage = "",
    directory: Directory = None,
) -> None:
    """Account for every event of a day.

    For each fleet: how many events were accepted, how each consumer dealt with them, and what is missing.
    """
    asked = read_day(day)
    drawn_up = find_function(choose(stage, directory), "reconcile")({"statement": asked.isoformat()})
    if not drawn_up:
        raise CommandError("the database does not answer; the log of reconcile says why")
    statement = read_answer(drawn_up, Statement)
    print(json.dumps(drawn_up) if as_json else "\n".join(write_text(statement)))


def read_day(text: str) -> date:
    """Read a day that has begun; nothing means today."""
    today = datetime.now(UTC).date()
    try:
        day = date.fromisoformat(text) if text else today
    except ValueError as error:
        raise CommandError(f"{text!r} is no day such as 2026-01-31", 2) from error
    if day > today:
        raise CommandError(f"{text} has not begun", 2)
    return day


_SAYS: dict[State, str] = {
    "balanced": "every event is accounted for, by every consumer",
    "in_flight": "some events are on their way; ask again in some minutes",
    "missing": "events that should be there are not, or unnamed ones may be of this day; see below",
    "unbalanced": "the accounts differ, and nothing is on its way that explains it: a fault of the ledger's",
}


def write_text(statement: Statement) -> Iterator[str]:
    """Write a statement for people."""
    if statement.as_of is None:
        yield f"{statement.day}: the brokers have not been asked yet; come back in a few minutes."
        return
    yield f"Events received on {statement.day} (UTC), as of {statement.as_of[:19].replace('T', ' ')}"
    yield ""
    yield from _table([_head(), *map(_row, statement.fleets)])
    if not statement.fleets:
        yield "nothing was received"
    yield ""
    for state in dict.fromkeys(account.state for account in statement.fleets):
        yield f"{state.replace('_', ' ')}: {_SAYS[state]}."
    yield ""
    yield "All fleets since the topic began, by the brokers' offsets then:"
    for one in statement.positions:
        yield (
            f"  {one.consumer}: {one.accepted:,} accepted = {one.covered:,} accounted for + {one.in_flight:,} in flight"
            f" + {one.under_way:,} under way + {one.missing:,} missing"
        )
    yield from _tell_replays(statement)
    yield from _tell_missing(statement)


def _tell_replays(statement: Statement) -> Iterator[str]:
    if statement.replays:
        yield ""
        yield "Replays of hours of this day:"
    for one in statement.replays:
        yield (
            f"  {one.replay_id}, {one.state}: fleet {one.fleet_id or '(all)'}, {one.first[:16]}Z to {one.last[:16]}Z;"
            f" {one.counted or 0:,} events counted for the first time, {one.removed or 0:,} samples removed,"
            f" {one.added or 0:,} added"
        )


def _tell_missing(statement: Statement) -> Iterator[str]:
    lost = sum(position.lost for position in statement.positions)
    missing = sum(position.missing for position in statement.positions)
    if not missing:
        return
    yield ""
    for one in statement.missing:
        gone = "" if one.in_kafka else ", no longer in Kafka"
        what = f"fleet {one.fleet_id or '?'}, device {one.device_id or '?'}, event {one.event_id or '?'}"
        yield (
            f"  missing in {one.consumer}: {make_visible(what)}, received {one.received_at or '?'},"
            f" partition {one.kafka_partition} offset {one.kafka_offset}{gone}"
        )
    if missing > len(statement.missing):
        yield f"  and {missing - len(statement.missing):,} more that have not been named"
    yield ""
    if missing > lost:
        yield f"{missing - lost:,} are still in Kafka: reconcile runs them again, and then they leave this list."
    if lost:
        yield f"{lost:,} are no longer in Kafka and cannot be run again; another consumer may have them, by offset."


def _head() -> Sequence[str]:
    sides = (("|", *(end.replace("dead_lettered", "dead letters") for end in one.ends), "not yet") for one in ACCOUNTED)
    return ("fleet", "state", "accepted", *(cell for side in sides for cell in side), "|", "rejected")


def _row(account: FleetAccount) -> Sequence[str]:
    ours = (account.fleet_id or "(unknown)", account.state.replace("_", " "), f"{account.accepted:,}")
    sides = (
        ("|", *(f"{account.of(consumer.name)[end]:,}" for end in (*consumer.ends, NOT_YET))) for consumer in ACCOUNTED
    )
    return (*ours, *(cell for side in sides for cell in side), "|", f"{account.rejected:,}")


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        names = [cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True)]
        numbers = [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
        yield "  ".join([*names, *numbers])
