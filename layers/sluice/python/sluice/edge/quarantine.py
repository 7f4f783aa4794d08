"""Putting poison records aside: each becomes a dead letter, stored before the record counts as dealt with."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from sluice.core.errors import Poison
from sluice.core.letters import about_record
from sluice.core.messages import Message
from sluice.core.records import KafkaRecord, Origin
from sluice.edge.broker import Broker


class Quarantine:
    """The dead letters of one consumer."""

    def __init__(self, broker: Broker, topic: str, consumer: str, max_letter: int) -> None:
        self._broker = broker
        self._topic = topic
        self._consumer = consumer
        self._max_letter = max_letter

    def put_aside(self, poison: Sequence[tuple[KafkaRecord, Poison]], now: datetime) -> set[Origin]:
        """Store the dead letters of poison records; what could not be stored must come again."""
        letters = [about_record(record, error, self._consumer, now, self._max_letter) for record, error in poison]
        messages = [Message(self._topic, letter.letter_id.encode(), msgspec.json.encode(letter)) for letter in letters]
        deliveries = self._broker.store(messages) if messages else []
        return {record.origin for (record, _), unstored in zip(poison, deliveries, strict=True) if unstored is not None}
