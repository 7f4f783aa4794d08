"""Checks what must hold once nothing is in flight (the invariants I1 to I7 of the proof).

It compares the client's ledger with Kafka and the buckets, Kafka with each consumer's end, and the database with
Kafka. It uses none of the pipeline's code. It names what is missing by its id.
"""

import hashlib
import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any
from uuid import UUID, uuid5

from cli.simulation.client import Ledger, digest
from tests.support.recomputation import (
    RawEvent,
    distinct,
    find_differences,
    is_uuid,
    recompute,
)
from tests.support.stores import DEAD_LETTERS, RAW_EVENTS, Delivered, Letter, Place, Record, Row, Sample, Snapshot, Told

# The namespace of ids that are no UUID. It cannot change, since stored rows depend on it.
_KEYS = UUID("5c1ce000-7d6f-5a4b-8c3e-51d1ce000002")
LETTER_BYTES = 64 * 1024
"""A letter keeps so many of its bytes at least."""
LISTED = 20
OPENS = {"opened": True, "silence_ended": True, "updated": True, "resolved": False}
"""As what an incident is told by a message: open or not."""
KEPT_KEYS = 200_000


@dataclass(frozen=True)
class Balance:
    """The number of records by stage and outcome, all of them accounted for."""

    stored: int
    archived: int
    copies: int
    """Rows beyond the first of their place: delivery is at least once."""
    dead_lettered: Mapping[str, int]
    counted: int
    late: int
    duplicate: int


class UnbalancedError(AssertionError):
    """Something was lost, doubled, altered or invented."""

    def __init__(self, faults: Sequence[str]) -> None:
        listed = [*faults[:LISTED], *(["…"] if len(faults) > LISTED else [])]
        super().__init__("\n".join([f"{len(faults)} faults", *listed]))


def balance(ledger: Ledger, snapshot: Snapshot, earlier: Collection[str] = ()) -> Balance:
    """Prove that everything is where it must be and nowhere else, or raise the differences.

    `earlier` are hashes of what was there before, or was sent beside the ledger.
    """
    if faults := find_faults(ledger, snapshot, earlier):
        raise UnbalancedError(faults)
    outcomes = Counter[str]()
    for (_, outcome), events in snapshot.outcomes.items():
        outcomes[outcome] += events
    places = {row.place for row in snapshot.rows}
    given_up = ("archive", "aggregate")
    return Balance(
        stored=len(snapshot.records),
        archived=len(places),
        copies=len(snapshot.rows) - len(places),
        dead_lettered={name: len(places_of(snapshot.letters, name)) for name in given_up},
        counted=outcomes["counted"],
        late=outcomes["late"],
        duplicate=outcomes["duplicate"],
    )


def find_faults(
    ledger: Ledger, snapshot: Snapshot, earlier: Collection[str] = (), killers: Collection[Place] = ()
) -> list[str]:
    """List everything that is wrong; an empty list is the proof.

    `killers` are records that may have ended archive's process when their rows were taken.
    """
    earlier = frozenset(earlier)
    return [
        *_find_unkept_promises(ledger, snapshot, earlier),
        *_find_unarchived(ledger, snapshot, killers),
        *_find_letter_faults(ledger, snapshot, earlier),
        *_find_uncounted(ledger, snapshot),
        *_find_wrong_numbers(snapshot),
        *find_told_twice(snapshot.told, snapshot.delivered),
    ]


def _find_unkept_promises(ledger: Ledger, snapshot: Snapshot, earlier: Collection[str]) -> Iterator[str]:
    """Compare the answers with the brokers (I1 to I4)."""
    stored = Counter(record.sha256 for record in snapshot.records)
    for sha256, times in ledger.accepted.items():
        if stored[sha256] < times:
            yield f"accepted {times} times, stored {stored[sha256]} times: {ledger.name(sha256)}"
    for sha256, times in stored.items():
        most = ledger.accepted[sha256] + ledger.unknown[sha256]
        if sha256 in earlier:
            continue
        if sha256 in ledger.rejected and not most:
            yield f"rejected but stored: {ledger.name(sha256)}"
        elif not most:
            yield f"stored but never sent: {ledger.name(sha256)}"
        elif times > most:
            said = f"accepted {ledger.accepted[sha256]} and unknown {ledger.unknown[sha256]} times"
            yield f"{said}, stored {times} times: {ledger.name(sha256)}"


def _find_unarchived(ledger: Ledger, snapshot: Snapshot, killers: Collection[Place]) -> Iterator[str]:
    """Compare the brokers with archive's ends: a row or a dead letter, with the same bytes (I1, I4, I7)."""
    rows: defaultdict[Place, list[Row]] = defaultdict(list)
    for row in snapshot.rows:
        rows[row.place].append(row)
    buried = places_of(snapshot.letters, "archive")
    records = {record.place: record for record in snapshot.records}
    for place, record in records.items():
        where = f"{ledger.name(record.sha256)} at partition {place.partition} offset {place.offset}"
        found = rows.get(place, ())
        if not found and place not in buried:
            yield f"neither archived nor dead-lettered by archive: {where}"
        if found and place in buried and place not in killers:
            yield f"archived and dead-lettered by archive: {where}"
        for row in found:
            if row.sha256 != record.sha256:
                yield f"other bytes are archived than were sent: {where}"
            elif record.event is None or not _are_same(_as_sent(row.event, place in buried), record.event):
                yield f"archived as what it is not: {where}"
    for place in (rows.keys() | buried) - records.keys():
        yield f"of no record: what is said of partition {place.partition} offset {place.offset}"


def _find_letter_faults(ledger: Ledger, snapshot: Snapshot, earlier: Collection[str]) -> Iterator[str]:
    """Compare the dead letters with the rejections, with their records and with their topic (I2, I4, I7)."""
    known = ledger.rejected | ledger.no_events | ledger.unknown.keys() | ledger.accepted.keys() | set(earlier)
    likely = [*ledger.rejected, *ledger.no_events, *known]
    written = {_recognize(letter, likely) for letter in snapshot.letters if letter.consumer == "ingest"}
    for sha256 in sorted((ledger.rejected | ledger.no_events) - written):
        yield f"rejected but in no dead letter: {ledger.name(sha256)}"
    for sha256 in sorted(written & ledger.accepted.keys()):
        yield f"accepted and dead-lettered by ingest: {ledger.name(sha256)}"
    for sha256 in sorted(written - known):
        yield f"a dead letter of what was never sent: {ledger.name(sha256)}"
    contents = {record.place: record.sha256 for record in snapshot.records}
    for letter in snapshot.letters:
        sha256 = digest(letter.body)
        place = letter.place_in(RAW_EVENTS)
        of_record = sha256 if place is None else contents.get(place, sha256)
        altered = letter.fields["letter_id"] != _identify(letter.fields, sha256) or of_record != sha256
        if altered if letter.whole else letter.fields["event_size"] <= LETTER_BYTES:
            yield f"a dead letter holds other bytes than it says: {ledger.name(sha256)}"
    kept = {_write(letter.fields) for letter in snapshot.letters}
    unreadable = {letter.place_in(DEAD_LETTERS) for letter in snapshot.letters}
    for where, sent in snapshot.letters_sent:
        if where not in unreadable and (sent is None or _write(sent.fields) not in kept):
            name = "" if sent is None else f" of {ledger.name(digest(sent.body))}"
            yield f"a dead letter was written{name} and is not kept: partition {where.partition} offset {where.offset}"


def _find_uncounted(ledger: Ledger, snapshot: Snapshot) -> Iterator[str]:
    """Compare the brokers with aggregate's ends: counted, late, duplicate or a dead letter (I1, I7)."""
    buried = _uncounted(snapshot)
    for record in snapshot.records:
        place = record.place
        if not any(first <= place.offset < end for first, end in snapshot.covered.get(place.partition, ())):
            where = f"partition {place.partition} offset {place.offset}"
            yield f"not dealt with by aggregate: {ledger.name(record.sha256)} at {where}"
        if record.event is None and place not in buried:
            yield f"no event, and not dead-lettered by aggregate: {ledger.name(record.sha256)}"
    events = _countable(snapshot.records, buried)
    firsts = [event for event in distinct(events) if not _is_late(event)]
    expected = {_key(event): event for event in firsts}
    found = Counter((one.fleet_id, one.device_id, one.key) for one in snapshot.samples)
    for key, event in expected.items():
        if found[key] != 1:
            yield f"counted {found[key]} times and not once: event {event.event_id}"
    for one in snapshot.samples:
        event_ = expected.get((one.fleet_id, one.device_id, one.key))
        if event_ is None:
            yield f"counted and never to be: event {one.key} of {one.device_id}"
        elif one != _sample(event_):
            yield f"counted as what it is not: event {event_.event_id}: {one}"
    yield from _find_miscounted(events, firsts, snapshot)


def _find_miscounted(events: Iterable[RawEvent], firsts: Iterable[RawEvent], snapshot: Snapshot) -> Iterator[str]:
    """Compare aggregate's recorded outcomes with the expected ones."""
    outcomes = Counter((event.fleet_id, "late" if _is_late(event) else "duplicate") for event in events)
    for event in firsts:
        outcomes[event.fleet_id, "counted"] += 1
        outcomes[event.fleet_id, "duplicate"] -= 1
    buried = _uncounted(snapshot)
    fleets = {
        place: str(letter.fields.get("fleet_id") or "")
        for letter in snapshot.letters
        if letter.consumer == "aggregate" and (place := letter.place_in(RAW_EVENTS)) in buried
    }
    for fleet_id in fleets.values():
        outcomes[fleet_id, "dead_lettered"] += 1
    for name in sorted(outcomes.keys() | snapshot.outcomes.keys()):
        said, true = snapshot.outcomes.get(name, 0), outcomes[name]
        if said != true:
            yield f"of fleet {name[0]!r} {said} records are said to be {name[1]}, and {true} are"


def _find_wrong_numbers(snapshot: Snapshot) -> Iterator[str]:
    """Compare the rollups with their recomputation (I5)."""
    events = _countable(snapshot.records, _uncounted(snapshot))
    yield from find_differences(recompute(events), snapshot.numbers)


def find_told_twice(told: Iterable[Told], delivered: Iterable[Delivered]) -> Iterator[str]:
    """Look for what is told twice of an incident, or out of order, and for what a destination took twice (I6)."""
    incidents: defaultdict[str, list[Told]] = defaultdict(list)
    for message in sorted(told):
        incidents[message.incident_id].append(message)
    for incident_id, messages in incidents.items():
        if [each.sequence for each in messages] != list(range(1, len(messages) + 1)):
            yield f"incident {incident_id}: its messages have the numbers {[each.sequence for each in messages]}"
        # Acknowledgements, escalations and growth change nothing of what it is told to be.
        states = [OPENS.get(each.happening) for each in messages if each.happening in OPENS]
        if states[:1] != [True] or any(one is False is other for one, other in itertools.pairwise(states)):
            yield f"incident {incident_id}: it is told as {[each.happening for each in messages]}"
        if sum(each.happening == "opened" for each in messages) > 1:
            yield f"incident {incident_id}: it is told twice that it opened"
    for (incident_id, sequence, destination_id), times in Counter(delivered).items():
        if times > 1:
            yield f"incident {incident_id}: {destination_id} took message {sequence} {times} times"


def _uncounted(snapshot: Snapshot) -> set[Place]:
    """Return the records that aggregate cannot count, or gave up, and that nothing has counted since."""
    return {
        place
        for place in places_of(snapshot.letters, "aggregate")
        if any(first <= place.offset < end for first, end in snapshot.lacking.get(place.partition, ()))
    }


def places_of(letters: Iterable[Letter], consumer: str) -> set[Place]:
    """Return the records of raw-events that a consumer has given up."""
    places = (letter.place_in(RAW_EVENTS) for letter in letters if letter.consumer == consumer)
    return {place for place in places if place is not None}


def _countable(records: Iterable[Record], buried: Collection[Place]) -> list[RawEvent]:
    return [record.event for record in records if record.event is not None and record.place not in buried]


def _is_late(event: RawEvent) -> bool:
    return "late_arrival" in event.flags


def _are_same(one: RawEvent, other: RawEvent) -> bool:
    return one == other or replace(one, event_id=one.name) == replace(other, event_id=other.name)


def _as_sent(event: RawEvent, was_buried: bool) -> RawEvent:
    """Leave out what a re-drive says of a record that archive had given up: it is the same record."""
    return replace(event, flags=tuple(flag for flag in event.flags if flag != "redriven")) if was_buried else event


def _key(event: RawEvent) -> tuple[str, str, UUID]:
    return event.fleet_id, event.device_id, _read_key(event.name)


@lru_cache(KEPT_KEYS)
def _read_key(name: str) -> UUID:
    return UUID(name) if is_uuid(name) else uuid5(_KEYS, name)


def _sample(event: RawEvent) -> Sample:
    return Sample(*_key(event), event.counts_at, event.readings)


def _recognize(letter: Letter, known: Iterable[str]) -> str:
    """Return the hash of a letter's bytes. A cut letter still has an id made of all of them."""
    if letter.whole:
        return digest(letter.body)
    wanted = letter.fields["letter_id"]
    return next((one for one in known if _identify(letter.fields, one) == wanted), digest(letter.body))


def _identify(fields: Mapping[str, Any], sha256: str) -> str:
    """The letter id that follows from what a letter says."""
    named = [(fields.get(name) or "").encode() for name in ("fleet_id", "event_id")]
    return hashlib.sha256(b"\0".join([*named, bytes.fromhex(sha256)])).hexdigest()


def _write(fields: Mapping[str, Any]) -> str:
    """A letter as it can be compared: kept, its times are written in another form."""
    written = {name: fields[name] for name in ("failed_at", "received_at") if fields.get(name) is not None}
    times = {name: text.replace("T", " ").removesuffix("Z") for name, text in written.items()}
    return json.dumps({**fields, **times}, sort_keys=True)
