"""SNS as far as alert needs it: two topics that keep what they are given, refuse it, or do not answer."""

import json
from typing import Any

from botocore.exceptions import ConnectTimeoutError

IN_ORDER, TOPIC = "arn:in-order", "arn:topic"


class PlayedSns:
    """Keeps the entries of each topic."""

    def __init__(self) -> None:
        self.taken: dict[str, list[dict[str, Any]]] = {IN_ORDER: [], TOPIC: []}
        self.away = False
        self.asked = 0
        self.refuses: set[str] = set()
        """Incidents whose messages are refused."""
        self.code = "InternalError"
        """Why."""

    def publish_batch(self, *, TopicArn: str, PublishBatchRequestEntries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803 - as SNS names them
        """Take a batch, or parts of it."""
        self.asked += 1
        if self.away:
            raise ConnectTimeoutError(endpoint_url=TopicArn)
        assert 1 <= len(PublishBatchRequestEntries) <= 10
        failed = []
        for entry in PublishBatchRequestEntries:
            if json.loads(entry["Message"])["incident_id"] in self.refuses:
                failed.append({"Id": entry["Id"], "Code": self.code, "SenderFault": self.code != "InternalError"})
            else:
                self.taken[TopicArn].append(entry)
        return {"Failed": failed}

    def happenings(self, topic: str = IN_ORDER) -> list[str]:
        """Return what was told, in its order, as a FIFO topic delivers it: each deduplication id once."""
        told: dict[str, str] = {}
        for number, entry in enumerate(self.taken[topic]):
            told.setdefault(entry.get("MessageDeduplicationId", str(number)), json.loads(entry["Message"])["happening"])
        return list(told.values())
