"""The cost model's figures of an event are those of the simulated fleet, within a few percent."""

from datetime import UTC, datetime

import cramjam
import pytest

from cli.cost.figures import load_figures
from cli.simulation.devices import Fleet
from sluice.core.api.requests import Request
from sluice.core.archive.rows import make_row, pack_rows
from sluice.core.events.envelope import HEADER
from sluice.core.ingest.judge import Accepted, Rules, judge
from sluice.core.limits import Limits
from sluice.core.messages import Message
from sluice.core.metrics import METRICS
from sluice.core.records import KafkaRecord, Origin
from sluice.edge.events.schemas import load_contracts

EVENTS = 5_000
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
FIGURES = load_figures()


@pytest.fixture(scope="module")
def messages() -> list[Message]:
    contracts, fleet = load_contracts(), Fleet(1, 500, lambda: NOW)
    # The gateway's request ids have sixteen characters.
    request = Request("POST /v1/events", None, NOW, "KzrwoyeZKDiDINs=")
    rules = Rules(contracts, Limits(), "raw-events")
    verdicts = [judge(fleet.good_event().body, "telemetry", "demo", request, rules) for _ in range(EVENTS)]
    return [verdict.message for verdict in verdicts if isinstance(verdict, Accepted)]


def test_an_event_and_its_record(messages: list[Message]) -> None:
    assert len(messages) == EVENTS
    assert sum(len(message.value) for message in messages) / EVENTS == pytest.approx(
        FIGURES.event_bytes.value, rel=0.03
    )
    whole = [message.value + dict(message.headers)[HEADER] for message in messages]
    for records, size in FIGURES.record_bytes.points:
        batches = [b"".join(whole[first : first + int(records)]) for first in range(0, 1000, int(records))]
        packed = sum(len(cramjam.lz4.compress_block(batch)) for batch in batches)
        assert packed / 1000 == pytest.approx(size, rel=0.1), records


def test_a_row(messages: list[Message]) -> None:
    contracts = load_contracts()
    records = [
        KafkaRecord(Origin("raw-events", 7, 1_000_000 + place), message.value, dict(message.headers))
        for place, message in enumerate(messages)
    ]
    packs = pack_rows((record.origin, make_row(record, contracts)) for record in records)
    assert sum(len(pack.data) for pack in packs) / EVENTS == pytest.approx(FIGURES.row_bytes.value, rel=0.02)


def test_the_metrics_that_functions_write() -> None:
    assert FIGURES.metrics.value >= len(METRICS)
