"""The sample events and payloads of events/, and small makers of variations on them."""

import json
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from sluice.core.api.requests import Request
from sluice.core.events.contracts import Contracts
from sluice.core.ingest.judge import Rules
from sluice.core.limits import Limits
from sluice.edge.events.schemas import load_contracts

EVENTS = Path(__file__).parents[2] / "events"
NOW = datetime(2026, 11, 20, 9, 30, 5, 250000, tzinfo=UTC)


def read_bytes(name: str) -> bytes:
    """The sample as a device would send it."""
    return (EVENTS / name).read_bytes().strip()


def read(name: str) -> Any:
    """The sample, parsed."""
    return json.loads((EVENTS / name).read_bytes())


def encode(document: object) -> bytes:
    """A document as a device would send it."""
    return json.dumps(document).encode()


@cache
def contracts() -> Contracts:
    """The contracts as shipped, compiled once."""
    return load_contracts()


def rules() -> Rules:
    """What events are judged by, as shipped."""
    return Rules(contracts(), Limits(), "raw-events")


def request(route: str = "POST /v1/events", received_at: datetime = NOW) -> Request:
    """A request as ingest reads it."""
    return Request(route, None, received_at, "test-1")
