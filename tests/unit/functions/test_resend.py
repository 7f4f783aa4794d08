"""resend sends the chunks that the manifest lists, and of the allowed rate its own share."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from functions.resend import handler
from sluice.core.replay.chunks import FilePart
from sluice.edge.replay.raw_files import Scope
from sluice.edge.replay.resending import Chunk
from sluice.edge.settings import SettingsError

CHUNK = Chunk(
    7,
    2,
    (FilePart("raw/a", 1, 3), FilePart("raw/b")),
    Scope("demo", ("press-1",), datetime(2026, 11, 20, 9, tzinfo=UTC), datetime(2026, 11, 20, 10, tzinfo=UTC)),
)
ENVIRONMENT = {
    "RAW_BUCKET": "raw",
    "REPLAY_EVENTS_TOPIC": "replay-events",
    "RESEND_PER_SECOND": "6000",
    "RESEND_CONCURRENCY": "3",
    "RESEND_ANSWER_SECONDS": "5",
    "KAFKA_BOOTSTRAP": "nowhere:9098",
    "KAFKA_AUTH": "none",
    "PRODUCE_DEADLINE_SECONDS": "10",
    "DATABASE_HOST": "nowhere",
    "DATABASE_PORT": "5432",
    "DATABASE_NAME": "sluice",
    "DATABASE_USER": "sluice_resend",
    "DATABASE_AUTH": "none",
    "AWS_REGION": "eu-central-1",
    "AWS_DEFAULT_REGION": "eu-central-1",
}
SEND: Any = handler.handler


class Sender:
    """Notes what it is to send."""

    def __init__(self) -> None:
        self.asked: list[Chunk] = []

    def send(self, chunk: Chunk) -> dict[str, Any]:
        self.asked.append(chunk)
        return {"chunk": chunk.chunk, "events": 12, "state": "resending"}


def test_an_item_of_the_manifest_is_the_chunk_that_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    sender = Sender()
    monkeypatch.setattr(handler, "build", lambda: sender)
    written: list[tuple[Any, float]] = []
    monkeypatch.setattr(handler, "record", lambda metric, value: written.append((metric.name, value)))
    # As gather writes it, and as Step Functions passes it on.
    item = json.loads(msgspec.json.encode(CHUNK))
    answer = SEND.__wrapped__(item, None)
    assert sender.asked == [CHUNK]
    assert json.loads(json.dumps(answer)) == {"chunk": 2, "events": 12, "state": "resending"}
    assert written == [("EventsResent", 12)]


def test_what_is_no_chunk_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handler, "build", Sender)
    with pytest.raises(msgspec.ValidationError):
        SEND.__wrapped__({"replay_number": 7}, None)


def test_each_of_those_that_may_run_at_once_has_its_share_of_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    built = handler.build.__wrapped__()
    assert built.per_second == 2000
    assert built.topic == "replay-events"
    monkeypatch.delenv("RESEND_CONCURRENCY")
    with pytest.raises(SettingsError, match="resend_concurrency"):
        handler.build.__wrapped__()
