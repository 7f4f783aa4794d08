"""Verdicts on their way to alert-events."""

from collections.abc import Sequence

import msgspec

from sluice.core.detect.verdicts import Verdict
from sluice.core.detect.watching import name_device
from sluice.core.errors import Retryable
from sluice.core.messages import Message
from sluice.edge.broker import Broker
from sluice.edge.kafka_client import Unstored

_encode = msgspec.json.Encoder().encode


def store_verdicts(broker: Broker, topic: str, verdicts: Sequence[Verdict]) -> None:
    """Store verdicts, or raise Retryable; stored again, they have the same positions, which alert knows."""
    if not verdicts:
        return
    messages = [Message(topic, name_device(one.fleet_id, one.device_id).encode(), _encode(one)) for one in verdicts]
    unstored = [one for one in broker.store(messages) if isinstance(one, Unstored)]
    if unstored:
        raise Retryable(f"{len(unstored)} of {len(messages)} verdicts are not stored: {unstored[0].reason}")
