"""The trace of an event as a person reads it, line by line."""

from collections.abc import Iterator
from datetime import datetime

from cli.terminal import make_visible
from sluice.core.events.envelope import REDRIVEN
from sluice.core.records import Origin
from sluice.core.rollups.resolutions import WIDTHS
from sluice.core.times import CLOCK_AHEAD, LATE_ARRIVAL, write_time
from sluice.core.trace.incidents import TracedIncident
from sluice.core.trace.outcomes import (
    Trace,
    TracedCopy,
    TracedEvent,
    TracedLetter,
    TracedReplay,
    TracedSample,
    TracedWindow,
    UnaskedSource,
)

MOST_TEXT = 300

_NO_TIME = " " * len("2026-01-31T12:00:00.000000Z")
_SOURCES = {"raw": "the raw store", "dead_letters": "the dead letters", "numbers": "the numbers"}
_REASONS = {
    "timeout": "they did not answer in time; fewer days, a fleet and a device make it quicker",
    "too_much": "more would have been read than a query may read; name fewer days",
    "unavailable": "they do not answer right now",
    "device_unknown": "they are kept by device, and no device is known; name fleet and device",
}
_STATES = {
    "complete": "complete",
    "moved": "it has left the database for files (table rollups)",
    "not_closed": "provisional: it is not closed yet",
    "being_rolled_again": "provisional: it is being rolled again",
    "offsets_missing": "it lacks records that were passed over around then",
    "not_kept": "it is no longer kept",
}


def write_story(trace: Trace) -> list[str]:
    """Write the lines."""
    return [*_head(trace), *(line for event in trace.events for line in _event(event, trace)), *_unasked(trace)]


def _head(trace: Trace) -> Iterator[str]:
    asked = trace.asked
    whose = "".join(
        f", {what} {show(name)}"
        for what, name in (("fleet", asked.fleet_id), ("device", asked.device_id))
        if name is not None
    )
    days = f"arrived from {asked.first.isoformat()} to {asked.last.isoformat()}"
    yield f"event {show(asked.event_id)}{whose}, {days}: {trace.verdict.replace('_', ' ')}"
    if trace.verdict in ("never_received", "unknown"):
        known = "never received" if trace.verdict == "never_received" else "nothing found where it could be looked for"
        yield (
            f"{known} (as of {write_time(trace.as_of)}; events younger than {trace.visible_after_seconds} s may not be "
            "visible yet, and a body that was no JSON is a dead letter without ids)"
        )
    if trace.truncated:
        yield "there are more rows than fit here: name a device, or fewer days"


def _event(event: TracedEvent, trace: Trace) -> Iterator[str]:
    yield f"of device {show(event.device_id)} in fleet {show(event.fleet_id)}: {event.verdict.replace('_', ' ')}"
    for number, copy in enumerate(event.copies, 1):
        yield from _copy(copy, number, event)
    if not event.copies and event.verdict == "accepted":
        asked = "raw" not in {one.source for one in trace.unasked}
        yield _line(
            None,
            "accepted: the numbers know it; "
            + (
                f"no copy was found among the files (what is younger than {trace.visible_after_seconds} s may not be "
                "there yet, and other days have others)"
                if asked
                else "the files were not asked"
            ),
        )
        if event.settled_at is not None:
            yield _line(event.settled_at, "received; it came late, or its clock ran ahead")
    for sample in event.samples or ():
        yield from _sample(sample)
    for letter in event.dead_letters:
        yield from _letter(letter)
    for incident in event.incidents or ():
        yield from _incident(incident)
    if event.incidents is None and event.samples is not None:
        yield _line(None, "incidents: could not be read")


def _copy(copy: TracedCopy, number: int, event: TracedEvent) -> Iterator[str]:
    copies = len(event.copies)
    which = f"copy {number} of {copies}: " if copies > 1 else ""
    firmware = f", firmware {show(copy.firmware)}" if copy.firmware is not None else ""
    yield _line(
        copy.received_at,
        f"{which}received as {copy.contract} version {copy.schema_version}{firmware} "
        f"(correlation id {show(copy.correlation_id)})",
    )
    yield _line(None, f"accepted at {_place(Origin(copy.topic, copy.partition, copy.offset))}")
    said = "a time that cannot be shown" if copy.event_time is None else write_time(copy.event_time)
    if LATE_ARRIVAL in copy.flags:
        yield _line(None, f"flagged {LATE_ARRIVAL}: its device says {said}")
    if CLOCK_AHEAD in copy.flags:
        yield _line(None, f"flagged {CLOCK_AHEAD}: its device says {said}, and it counts at its reception")
    if REDRIVEN in copy.flags:
        yield _line(None, f"flagged {REDRIVEN}: it had been rejected, and was sent again by a re-drive, perhaps fixed")
    for file in copy.files:
        yield _line(None, f"stored in file {show(file)}")
    yield _line(None, _outcome(copy, event))
    if copy.counted_by is not None:
        lettered = Origin(copy.topic, copy.partition, copy.offset) in {
            letter.origin for letter in event.dead_letters if letter.consumer == "aggregate"
        }
        was = "was dead-lettered by aggregate" if lettered else "was never counted by aggregate"
        yield _line(None, f"{was}, and accounted for by {show(copy.counted_by)}")


def _outcome(copy: TracedCopy, event: TracedEvent) -> str:
    before = "" if copy.repeats is None else _earlier(copy.repeats, event)
    match copy.outcome:
        case "counted" if copy.seen:
            return "counted: its sample is there (told by its time; of copies with the same time the first counts)"
        case "counted":
            return "counted, by the rule that the first copy does: samples of that time are no longer kept"
        case "late":
            again = f"; its id is that of {before}" if before else ""
            return f"late: raw only, in no number{again}"
        case "duplicate" if before:
            return f"duplicate of {before}, byte for byte: not counted again"
        case "duplicate":
            return "duplicate of a copy that was not found on these days: that one was counted"
        case "conflict":
            return f"conflict: the id of {before}, with other bytes; the first counts, and this one in no number"
        case "dead_lettered":
            return "not counted: aggregate gave it up (see its dead letter)"
        case "in_flight":
            return "in flight: aggregate has not come to it yet"
        case "passed_over":
            return "passed over by aggregate: its windows lack it until it is counted"
        case "unexplained":
            return (
                "dealt with by aggregate, and neither a sample nor a dead letter is to be seen: this is not explained"
            )
        case "unknown":
            return "whether it is counted is not known: the numbers could not be asked"


def _sample(sample: TracedSample) -> Iterator[str]:
    if not sample.numbers:
        yield _line(sample.effective_time, "is when it counts; it brought no numbers, so no window has a row of it")
        return
    numbers = "1 number" if sample.numbers == 1 else f"{sample.numbers} numbers"
    yield _line(sample.effective_time, f"is when it counts, with {numbers}")
    for window in sample.windows:
        yield _line(None, _window(window))
    for replay in sample.replays:
        yield _line(replay.ended_at, _replay(replay))


def _replay(replay: TracedReplay) -> str:
    if replay.ended_at is None:
        return f"{replay.replay_id} is at work on this hour ({replay.state})"
    if replay.kept:
        return f"{replay.replay_id} computed this hour again: the event was counted before, with the same values"
    return f"{replay.replay_id} computed this hour again: these values are newer than its beginning"


def _window(window: TracedWindow) -> str:
    end = window.window_start + WIDTHS[window.resolution]
    state = _STATES[window.reason or window.state]
    return f"counted in window {window.resolution} {write_time(window.window_start)} to {write_time(end)}: {state}"


def _letter(letter: TracedLetter) -> Iterator[str]:
    gave_up = "rejected" if letter.consumer == "ingest" else f"given up by {show(letter.consumer)}"
    tries = f" after {letter.attempts} attempts" if letter.attempts > 1 else ""
    at = "" if letter.origin is None else f", at {_place(letter.origin)}"
    whose = "" if letter.correlation_id is None else f" (correlation id {show(letter.correlation_id)})"
    yield _line(letter.failed_at, f"{gave_up}{tries}{at}: {show(letter.reason)}: {show(letter.detail)}{whose}")
    for file in letter.files:
        yield _line(None, f"dead letter {show(letter.letter_id)} in file {show(file)}")


def _incident(incident: TracedIncident) -> Iterator[str]:
    yield _line(
        incident.joined_at,
        f"joined incident {show(incident.incident_id)} of rule {show(incident.rule_id)}, {incident.severity} and now "
        f"{incident.state} (correlation id {show(incident.correlation_id)})",
    )
    for message in incident.messages:
        sent = "not sent yet" if message.sent_at is None else f"sent at {write_time(message.sent_at)}"
        yield _line(
            message.written_at,
            f"message {message.sequence}: {message.happening.replace('_', ' ')}, {sent} "
            f"(correlation id {show(message.correlation_id)})",
        )
        for one in message.attempts or ():
            status = "" if one.status is None else f", status {one.status}"
            yield _line(one.at, f"destination {show(one.destination_id)}, attempt {one.attempt}: {one.outcome}{status}")


def _unasked(trace: Trace) -> Iterator[str]:
    for one in trace.unasked:
        yield f"not asked: {_why(one)}"


def _why(one: UnaskedSource) -> str:
    return f"{_SOURCES[one.source]}: {_REASONS[one.reason]}"


def _earlier(origin: Origin, event: TracedEvent) -> str:
    (received_at,) = {
        copy.received_at for copy in event.copies if (copy.topic, copy.partition, copy.offset) == _parts(origin)
    }
    return f"{_place(origin)}, received at {write_time(received_at)}"


def _parts(origin: Origin) -> tuple[str, int, int]:
    return origin.topic, origin.partition, origin.offset


def _place(origin: Origin) -> str:
    return f"{origin.topic}/{origin.partition}/{origin.offset}"


def _line(moment: datetime | None, text: str) -> str:
    return f"{_NO_TIME if moment is None else write_time(moment)}  {text}"


def show(text: str | None) -> str:
    """Show a text that a device wrote: on one line, of bounded length, and without anything that a terminal obeys."""
    if text is None:
        return "(unknown)"
    shown = make_visible(text[:MOST_TEXT])
    return f"{shown}…" if len(text) > MOST_TEXT else shown
