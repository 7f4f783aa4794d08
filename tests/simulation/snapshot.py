"""What is stored at the end of a history, read past the pipeline, and held against what clients were told."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import psycopg

from cli.simulation.client import digest
from tests.simulation.broker import Brokers
from tests.simulation.happenings import HOT, RULE_ID
from tests.simulation.kafka_reader import ReadMessage
from tests.simulation.names import LETTERS, RAW
from tests.simulation.object_store import ObjectStore
from tests.support import invariants
from tests.support.recomputation import distinct, read_numbers
from tests.support.stores import (
    DEAD_LETTERS,
    ENVELOPE,
    RAW_EVENTS,
    Place,
    Snapshot,
    Stores,
    Told,
    _read_letters,
    _read_record,
    _read_rows,
    _read_sent,
)

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

ALERT_EVENTS, KILLER = "alert-events", "killer_record"
ORIGINAL_AT = 7
"""Where an envelope has the hash of what a device had sent, if a re-drive stored the event."""


def find_faults(simulation: "Simulation") -> list[str]:
    """List everything that is wrong once nothing is under way."""
    deployment = simulation.deployment
    snapshot = take(deployment.brokers, deployment.store, simulation.dsn)
    redriven = find_redriven(simulation)
    # The delivery stream does not say what it holds: a record may end archive's process after its row was taken.
    killers = _find_killers(snapshot, "archive", RAW_EVENTS)
    return [
        *invariants.find_faults(simulation.clients.ledger, snapshot, redriven, killers),
        *_find_unbalanced(simulation),
        *_find_untold(simulation, snapshot),
        *_find_unwritten(simulation),
        *_find_unnoticed(simulation, snapshot),
        *_find_unverified(simulation),
    ]


def find_redriven(simulation: "Simulation") -> set[str]:
    """Find what re-drives stored of rejected events: these bytes were made by a fix, and no client sent them.

    A client whose connection broke does not know that its event was rejected.
    """
    ledger = simulation.clients.ledger
    rejected = {*ledger.rejected, *ledger.unknown}
    found = set()
    for log in simulation.deployment.brokers.topics[RAW_EVENTS]:
        for record in log:
            envelope = _read_envelope(dict(record.headers).get(ENVELOPE, b""))
            if len(envelope) > ORIGINAL_AT and envelope[ORIGINAL_AT] in rejected:
                found.add(digest(record.value))
    return found


def _find_killers(snapshot: Snapshot, consumer: str, topic: str) -> set[Place]:
    """Return the records of a topic that a consumer gave up because they ended its process."""
    of_consumer = [one for one in snapshot.letters if (one.consumer, one.fields["reason"]) == (consumer, KILLER)]
    return {place for one in of_consumer if (place := one.place_in(topic)) is not None}


def _read_envelope(text: bytes) -> list[Any]:
    try:
        envelope = json.loads(text)
    except ValueError:
        return []
    return envelope if isinstance(envelope, list) else []


def take(brokers: Brokers, store: ObjectStore, dsn: str) -> Snapshot:
    """Read everything."""
    stores = Stores({"database": dsn})
    samples, outcomes, covered, lacking = stores._read_database()
    return Snapshot(
        records=[*_read_topic(brokers, RAW_EVENTS, _read_record).values()],
        rows=_read_objects(store, RAW, "raw/", _read_rows),
        letters=_read_objects(store, LETTERS, "dead_letters/", _read_letters),
        letters_sent=[*_read_topic(brokers, DEAD_LETTERS, _read_sent).items()],
        samples=samples,
        outcomes=outcomes,
        covered=covered,
        lacking=lacking,
        numbers=read_numbers(dsn),
        told=stores._ask("SELECT incident_id, sequence, message ->> 'happening' FROM alert_message", Told),
    )


def _read_topic(brokers: Brokers, topic: str, read: Any) -> dict[Place, Any]:
    found: dict[Place, Any] = {}
    for log in brokers.topics[topic]:
        for record in log:
            place = Place(record.partition, record.offset)
            found[place] = read(place, ReadMessage(record))
    return found


def _read_objects(store: ObjectStore, bucket: str, prefix: str, read: Any) -> list[Any]:
    return [each for name in store.names(bucket, prefix) for each in read(store.objects[bucket, name].body)]


def _find_unbalanced(simulation: "Simulation") -> Iterator[str]:
    """Look at the pipeline's own statement of the days."""
    for day, statement in simulation.statements.items():
        for fleet in statement["fleets"]:
            if fleet["state"] != "balanced":
                yield f"the statement of {day} says {fleet['state']}: {fleet}"


def _find_untold(simulation: "Simulation", snapshot: Snapshot) -> Iterator[str]:
    """Compare the messages of incidents with what the FIFO topic delivers: each of them, in their order (I6)."""
    firsts: dict[str, None] = dict.fromkeys(taken.identity for taken in simulation.deployment.topics.in_order)
    committed = {f"{told.incident_id}-{told.sequence}" for told in snapshot.told}
    for identity in sorted(committed ^ firsts.keys()):
        yield f"message {identity} is {'committed and not' if identity in committed else 'not committed and'} told"
    heard: dict[str, int] = {}
    for identity in firsts:
        incident, _, sequence = identity.rpartition("-")
        if int(sequence) != heard.get(incident, 0) + 1:
            yield f"message {identity} is told after message {heard.get(incident, 0)} of its incident"
        heard[incident] = int(sequence)


def _find_unwritten(simulation: "Simulation") -> Iterator[str]:
    """Look for incidents that count more messages than there are."""
    query = """
        SELECT incident_id, incident.sequence, count(alert_message.sequence)
        FROM incident LEFT JOIN alert_message USING (incident_id)
        GROUP BY incident_id ORDER BY incident_id
    """
    with psycopg.connect(simulation.dsn) as connection:
        for incident_id, sequence, messages in connection.execute(query).fetchall():
            if sequence != messages:
                yield f"incident {incident_id} counts {sequence} messages, and there are {messages}"


def _find_unnoticed(simulation: "Simulation", snapshot: Snapshot) -> Iterator[str]:
    """Look for devices with a reading above the threshold that are in no incident."""
    if "detect" not in simulation.deployment.functions:
        return
    given_up = invariants.places_of(snapshot.letters, "detect")
    events = distinct(record.event for record in snapshot.records if record.event and record.place not in given_up)
    hot = {
        event.device_id
        for event in events
        if not event.flags and any(series == "cpu_temp" and value > HOT for series, value in event.readings)
    }
    query = "SELECT device_id FROM incident_device JOIN incident USING (incident_id) WHERE rule_id = %s"
    with psycopg.connect(simulation.dsn) as connection:
        noticed = {device_id for (device_id,) in connection.execute(query, [RULE_ID])}
    # A verdict that ended alert's process opens no incident.
    verdicts = simulation.deployment.brokers.topics[ALERT_EVENTS]
    places = _find_killers(snapshot, "alert", ALERT_EVENTS)
    unjudged = {json.loads(verdicts[partition][offset].value)["device_id"] for partition, offset in places}
    for device_id in sorted(hot - noticed - unjudged):
        yield f"{device_id} had a reading above the threshold, and is in no incident"


def _find_unverified(simulation: "Simulation") -> Iterator[str]:
    """Look for replays whose windows differ from their samples."""
    for execution, reason in simulation.deployment.workflows.failed.items():
        if "UnverifiedError" in reason:
            yield f"{execution}: {reason}"
