"""What one event, request or run takes: measured where it can be, assumed where it cannot, and said which."""

import itertools
import tomllib
from collections.abc import Sequence
from pathlib import Path

import msgspec

FILE = Path(__file__).with_name("figures.toml")


class Figure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One figure."""

    value: float
    unit: str
    how: str
    """The command that measures it, or `assumed` and why."""


class Curve(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A figure that depends on how many events a request has: (events, value)."""

    points: Sequence[tuple[float, float]]
    unit: str
    how: str

    def at(self, events: float) -> float:
        """Return the value for requests of that many events, on straight lines between and beyond the points."""
        segments = list(itertools.pairwise(self.points))
        (left, low), (right, high) = next((each for each in segments if events <= each[1][0]), segments[-1])
        return low + (high - low) * (events - left) / (right - left)


class Figures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All figures of figures.toml."""

    # An event, from the device to the lake.
    event_bytes: Figure
    answer_bytes: Curve
    record_bytes: Curve
    row_bytes: Figure
    stored_bytes: Figure
    rejected_share: Figure
    verdict_share: Figure
    # The functions.
    ingest_milliseconds: Curve
    ingest_core_microseconds: Curve
    ingest_line_bytes: Figure
    archive_microseconds: Figure
    aggregate_microseconds: Figure
    detect_microseconds: Figure
    batch_payload_bytes: Figure
    batch_line_bytes: Figure
    batch_milliseconds: Figure
    scheduled_seconds: dict[str, Figure]
    scheduled_line_bytes: Figure
    probe_requests: Figure
    log_overhead_bytes: Figure
    access_value_bytes: dict[str, Figure]
    poller_unit_megabytes: Figure
    # The stores.
    letter_bytes: Figure
    commands_per_event: Figure
    cache_bytes_per_event: Figure
    cache_hours: Figure
    rollup_bytes: Figure
    log_bytes_per_event: Figure
    base_backup_share: Figure
    database_log_gigabytes: Figure
    recorded_requests: Figure
    delivery_megabytes: Figure
    # People.
    answers_per_second: Figure
    answer_milliseconds: Figure
    answer_kilobytes: Figure
    scanned_gigabytes: Figure
    metrics: Figure


def load_figures(file: Path = FILE) -> Figures:
    """Read the figures."""
    return msgspec.convert(tomllib.loads(file.read_text()), Figures)
