"""The registry of consumers: which function reads which topic, and how an event may end there.

Everything that concerns all consumers (pressure, the ledger, the statement, alarms, tools) iterates over this list.
"""

import msgspec

RAW_EVENTS, REPLAY_EVENTS, DEAD_LETTERS, ALERT_EVENTS = "raw-events", "replay-events", "dead-letter", "alert-events"

ARCHIVED, COUNTED, LATE, DUPLICATE, DEAD_LETTERED = "archived", "counted", "late", "duplicate", "dead_lettered"


class Consumer(msgspec.Struct, frozen=True):
    """A function that reads a topic."""

    name: str
    """The function, its consumer group, and its lines in the ledger."""
    topic: str
    ends: tuple[str, ...] = ()
    """How an accepted event may end here: exactly one of these. Empty: the ledger has no line for this consumer."""
    presses: bool = False
    """Whether ingest refuses events when this consumer falls behind. What any other gives up, raw still has."""


ARCHIVE = Consumer("archive", RAW_EVENTS, (ARCHIVED, DEAD_LETTERED), presses=True)
AGGREGATE = Consumer("aggregate", RAW_EVENTS, (COUNTED, LATE, DUPLICATE, DEAD_LETTERED))
DEADLETTER = Consumer("deadletter", DEAD_LETTERS)
RECOUNT = Consumer("recount", REPLAY_EVENTS)
DETECT = Consumer("detect", RAW_EVENTS)
ALERT = Consumer("alert", ALERT_EVENTS)

CONSUMERS = (ARCHIVE, AGGREGATE, DEADLETTER, RECOUNT, DETECT, ALERT)
ACCOUNTED = tuple(consumer for consumer in CONSUMERS if consumer.ends)
"""Consumers that must account for every accepted event; until they have read it, it waits in Kafka."""
QUARANTINING = (ARCHIVE, AGGREGATE, RECOUNT, DETECT, ALERT)
"""Consumers that put bad records aside, and halt when these are too many."""
PRESSING = tuple(consumer for consumer in ACCOUNTED if consumer.presses)
