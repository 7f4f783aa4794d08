"""Say what the database lacks after a restore to an earlier moment."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import typer

from cli.control.output import show_json
from cli.functions import find_function, read_answer
from cli.stages import CommandError, Directory, Stage, choose
from cli.terminal import make_visible
from sluice.core.ledger.statement import Position, Statement


class Found(msgspec.Struct, frozen=True):
    """What each store has that the database lacks."""

    control: dict[str, list[str]]
    """What is published, by its kind."""
    audit: str | None
    """Why the audit does not match its checkpoints; null if it does."""
    events: list[Position]
    """How many events each consumer has accounted for, by the brokers' offsets."""

    @property
    def is_whole(self) -> bool:
        """Whether nothing is lacking. A stage that takes events always has some under way: they are not lacking."""
        missing = any(each.missing for each in self.events)
        return self.audit is None and not any(self.control.values()) and not missing


def run(
    as_json: Annotated[bool, typer.Option("--json", help="Print `control`, `audit` and `events` as JSON.")] = False,
    stage: Stage = "",
    directory: Directory = None,
) -> None:
    """Say what the database lacks after a restore.

    Compares it with what is published in S3, with the signed checkpoints of the audit, and with the brokers' offsets.
    It ends with 1 while something is lacking. docs/restore.md says what to do about each. Events that the database
    lacks count as under way for an hour at most, and then as missing. Nothing is changed, but that checkpoint signs the
    audit if it matches.
    """
    target = choose(stage, directory)
    found = Found(
        _ask(find_function(target, "publish")({"find_lost": True}), "lost", "publish"),
        _read_audit(find_function(target, "checkpoint")({})),
        _read_events(find_function(target, "reconcile")({"statement": datetime.now(UTC).date().isoformat()})),
    )
    if as_json:
        show_json(msgspec.to_builtins(found))
    else:
        print("\n".join(write_text(found)))
    if not found.is_whole:
        raise CommandError("the database lacks what other stores have; docs/restore.md says what to do")


def write_text(found: Found) -> Iterator[str]:
    """Write it for people."""
    for kind, lost in found.control.items():
        yield f"{kind}: {f'{len(lost):,} published ones are lost' if lost else 'as published, as far as that shows'}"
        yield from (f"  {make_visible(each)}" for each in lost)
    yield f"audit: {'matches its checkpoints' if found.audit is None else make_visible(found.audit)}"
    for each in found.events:
        yield (
            f"events: {each.consumer} has {each.covered:,} of {each.accepted:,}; {each.in_flight:,} are in flight,"
            f" {each.under_way:,} under way, {each.missing:,} missing, {each.lost:,} of them no longer in Kafka"
        )


def _read_audit(answer: Any) -> str | None:
    if not answer:
        raise CommandError("checkpoint could not verify the audit; its log says why")
    return str(answer["altered"]) if "altered" in answer else None


def _read_events(answer: Any) -> list[Position]:
    if not answer:
        raise CommandError("the database does not answer; the log of reconcile says why")
    return read_answer(answer, Statement).positions


def _ask(answer: Any, name: str, verb: str) -> Any:
    if name not in answer:
        raise CommandError(f"{verb} of this stage is of an older release: deploy first")
    return answer[name]
