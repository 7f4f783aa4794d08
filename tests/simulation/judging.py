"""What is looked at once nothing is under way, beside the invariants: the answers to clients, letters and re-drives."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import psycopg

from cli.simulation.client import digest
from tests.simulation.broker import LogRecord
from tests.simulation.faults import SLOW
from tests.simulation.kafka_reader import ReadMessage
from tests.simulation.names import LETTERS
from tests.support.recomputation import RawEvent, distinct
from tests.support.stores import DEAD_LETTERS, ENVELOPE, RAW_EVENTS, Place, _read_record

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

UNKNOWN_FIRMWARE = "unknown_firmware"
BAD = (UNKNOWN_FIRMWARE, "invalid", "malformed")
"""Kinds of events that break their contract."""
ORIGINAL_AT = 7
_OBJECT = re.compile(r"dt=(?P<day>[^/]+)/(?P<partition>\d{5})-(?P<offset>\d{20})")
_GAPS = """
    SELECT partition, lower(offsets), upper(offsets) FROM gap
    WHERE consumer = 'aggregate' AND topic = 'raw-events' AND given_up
"""


def find_misjudgements(simulation: "Simulation") -> Iterator[str]:
    """List what is wrong."""
    records = [record for log in simulation.deployment.brokers.topics[RAW_EVENTS] for record in log]
    yield from _find_misjudged(simulation)
    yield from _find_overcounted(simulation, records)
    yield from _find_wrong_reasons(simulation)
    yield from _find_renamed(simulation)
    yield from _find_open_gaps(simulation)
    yield from _find_redriven_twice(simulation, records)


def _find_misjudged(simulation: "Simulation") -> Iterator[str]:
    """Look for events that break their contract and were accepted."""
    bad = {digest(event.body): event.kind for post in simulation.history.posts for event in post.events}
    for sha256 in simulation.clients.ledger.accepted:
        if bad.get(sha256) in BAD:
            yield f"accepted although it is {bad[sha256]}: {simulation.clients.ledger.name(sha256)}"


def _find_wrong_reasons(simulation: "Simulation") -> Iterator[str]:
    """Look for letters that give another reason than the one that is known: a contract names the code of firmware."""
    events = [event for post in simulation.history.posts for event in post.events if event.kind == UNKNOWN_FIRMWARE]
    known = {event.body.decode() for event in events}
    for log in simulation.deployment.brokers.topics[DEAD_LETTERS]:
        for letter in (json.loads(record.value) for record in log):
            if letter["event"] in known and letter["reason"] != UNKNOWN_FIRMWARE:
                yield f"an event of unknown firmware is rejected as {letter['reason']}"


def _find_overcounted(simulation: "Simulation", records: list[LogRecord]) -> Iterator[str]:
    """Compare the live counters with the events that count, by the minute of their reception; they may lack some."""
    events = [_read(record) for record in records]
    firsts = Counter(
        int(event.received_at.replace(second=0, microsecond=0).timestamp())
        for event in distinct(event for event in events if event is not None)
        if "late_arrival" not in event.flags
    )
    for name, value in simulation.deployment.cache.kept("count:"):
        minute = int(name.rpartition(":")[2])
        counted = sum(map(int, value.values()))
        if counted > firsts[minute]:
            moment = datetime.fromtimestamp(minute, UTC)
            yield f"the live counters have {counted} events of {moment}, and {firsts[minute]} count"


def _read(record: LogRecord) -> RawEvent | None:
    message: Any = ReadMessage(record)
    return _read_record(Place(record.partition, record.offset), message).event


def _find_renamed(simulation: "Simulation") -> Iterator[str]:
    """Look for letters that are stored twice because a retry named their object otherwise."""
    found = map(_OBJECT.search, simulation.deployment.store.names(LETTERS, "dead_letters/"))
    for place, objects in Counter(one.groups() for one in found if one is not None).items():
        if objects > 1:
            yield f"{objects} objects begin with the dead letter {place}"


def _find_open_gaps(simulation: "Simulation") -> Iterator[str]:
    """Look for gaps of records that nothing can fill: poison stays what it is."""
    poison = set()
    for log in simulation.deployment.brokers.topics[DEAD_LETTERS]:
        for record in log:
            letter = json.loads(record.value)
            if letter["consumer"] == "aggregate" and letter["reason"] == "poison_record":
                poison.add((letter["kafka_partition"], letter["kafka_offset"]))
    with psycopg.connect(simulation.dsn) as connection:
        for partition, start, end in connection.execute(_GAPS).fetchall():
            for offset in range(start, end):
                if (partition, offset) in poison:
                    yield f"poison at offset {offset} of partition {partition} has left a gap"


def _find_redriven_twice(simulation: "Simulation", records: list[LogRecord]) -> Iterator[str]:
    """Look for re-driven events of which there are two: of other bytes, or where nothing could fail."""
    made: defaultdict[str, list[str]] = defaultdict(list)
    for record in records:
        envelope = _read_envelope(record)
        if len(envelope) > ORIGINAL_AT and envelope[ORIGINAL_AT]:
            made[envelope[ORIGINAL_AT]].append(digest(record.value))
    failed = any(function == "redrive" and kind not in ("-", SLOW) for function, _, kind in simulation.world.met)
    for original, bodies in made.items():
        if len({*bodies}) > 1:
            yield f"the letter of {simulation.clients.ledger.name(original)} has become {len({*bodies})} events"
        elif len(bodies) > 1 and not failed:
            yield f"the letter of {simulation.clients.ledger.name(original)} was stored {len(bodies)} times"


def _read_envelope(record: LogRecord) -> list[Any]:
    try:
        envelope = json.loads(dict(record.headers)[ENVELOPE])
    except (KeyError, ValueError):
        return []
    return envelope if isinstance(envelope, list) else []
