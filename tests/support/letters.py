"""Dead letters as ingest writes them, for tests of what is done with them."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from sluice.core.failures.letters import Letter
from sluice.core.ingest.judge import Letterhead, Rejected, address, judge
from tests.support import samples


def reject(sent: bytes, contract: str = "telemetry", fleet_id: str = "demo", at: datetime = samples.NOW) -> Letter:
    """The letter of an event that the judge rejects."""
    request = samples.request(received_at=at)
    verdict = judge(sent, contract, fleet_id, request, samples.rules())
    assert isinstance(verdict, Rejected), verdict
    return msgspec.json.decode(
        address(verdict, Letterhead("dead-letter", fleet_id, contract, request)).value, type=Letter
    )


def telemetry(number: int, change: Callable[[dict[str, Any]], Any], at: datetime = samples.NOW) -> bytes:
    """An event of its own, changed as a bug changes it."""
    document = samples.read("telemetry-v2.json") | {
        "event_id": str(UUID(int=number + 1)),
        "timestamp": at.isoformat(),
        "device_id": f"press-{number % 40}",
    }
    change(document)
    return samples.encode(document)


def rename(old: str, new: str) -> Callable[[dict[str, Any]], None]:
    """A bug that sends a metric under another name."""

    def change(document: dict[str, Any]) -> None:
        document["metrics"][new] = document["metrics"].pop(old)

    return change


def put(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """A bug that sends a metric as another value."""

    def change(document: dict[str, Any]) -> None:
        document["metrics"][name] = value

    return change
