"""Copies, letters, samples and numbers of one event, as its stores return them, for tests of its trace."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec

from sluice.core.records import Origin
from sluice.core.trace.lake_search import SearchResult, StoredCopy, StoredLetter
from sluice.core.trace.outcomes import (
    Asked,
    DeviceNumbers,
    Numbers,
    Progress,
    Trace,
    TracedSample,
    TracedWindow,
    UnaskedSource,
    build_trace,
)

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
ID = "4f6c1f52-8d3e-4b57-9a43-6c1f0f0f7d21"
ASKED = Asked(ID, "demo", None, date(2026, 11, 19), date(2026, 11, 20))
HOURS_AGO = NOON - timedelta(hours=11)
PRESS = ("demo", "press-1")
MINUTE = TracedWindow("1m", NOON, "complete", None)


def copy(offset: int, **changed: Any) -> StoredCopy:
    stored = StoredCopy(
        Origin("raw-events", 4, offset),
        *PRESS,
        received_at=NOON + timedelta(seconds=offset),
        event_time=NOON,
        flags=(),
        contract="telemetry",
        schema_version=2,
        firmware="2.4.1",
        event_type="telemetry",
        correlation_id=f"c-{offset}",
        variant=1,
        file=f"s3://raw/{offset}.parquet",
    )
    return msgspec.structs.replace(stored, **changed)


def letter(**changed: Any) -> StoredLetter:
    stored = StoredLetter(
        letter_id="l" * 64,
        reason="contract_violation",
        detail="metrics.cpu_temp must be number",
        consumer="ingest",
        attempts=1,
        failed_at=NOON,
        event_size=120,
        fleet_id="demo",
        device_id="press-1",
        correlation_id="c-1",
        origin=None,
        file="s3://letters/a.json.gz",
    )
    return msgspec.structs.replace(stored, **changed)


def sample(moment: datetime = NOON, *windows: TracedWindow, numbers: int = 3) -> TracedSample:
    return TracedSample(moment, numbers, windows)


def numbers(
    *copies: StoredCopy,
    samples: tuple[TracedSample, ...] = (),
    settled_at: datetime | None = None,
    progress: Progress = "done",
    kept_from: datetime | None = None,
    counted_by: str | None = None,
) -> Numbers:
    kept = {PRESS: DeviceNumbers(samples, settled_at)}
    replays = {} if counted_by is None else {one.origin: counted_by for one in copies}
    return Numbers(kept, {one.origin: progress for one in copies}, kept_from, replays)


def trace(found: SearchResult, known: Numbers | UnaskedSource) -> Trace:
    return build_trace(ASKED, found, known, NOON + timedelta(hours=1), 130)
