"""Samples in PostgreSQL's binary COPY format, one call per row: the client library writes lists element by element, and
the server takes three times as long to read text."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from struct import Struct

COLUMNS = "entity_key, event_key, effective_time, shard, group_number, ahead, metric_keys, readings"
HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"

# The element types of the arrays, by their fixed numbers in PostgreSQL's catalogue.
_SMALLINT, _DOUBLE = 21, 701
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def write_row(
    entity_key: int,
    event_key: bytes,
    effective_time: datetime,
    shard: int,
    group_number: int,
    ahead: bool,
    metrics: Mapping[int, float],
) -> bytes:
    """Write one row of the columns above; each value is preceded by its length."""
    return _row(len(metrics)).pack(
        8,
        *(8, entity_key),
        *(16, event_key),
        *(8, count_micros(effective_time)),
        *(2, shard),
        *(2, group_number),
        *(1, ahead),
        *list_arrays(metrics),
    )


def count_micros(moment: datetime) -> int:
    """Write a time as the database counts it."""
    return (moment - _EPOCH) // _MICROSECOND


def list_arrays(metrics: Mapping[int, float]) -> list[float]:
    """List what the arrays of metric keys and of readings are written from."""
    count = len(metrics)
    # An empty array has no dimension; our other arrays have one, which counts from 1.
    dimensions = (count, 1) if count else ()
    keys = [word for key in metrics for word in (2, key)]
    readings = [word for reading in metrics.values() for word in (8, reading)]
    return [
        *(12 + 4 * len(dimensions) + 6 * count, len(dimensions) // 2, 0, _SMALLINT, *dimensions, *keys),
        *(12 + 4 * len(dimensions) + 12 * count, len(dimensions) // 2, 0, _DOUBLE, *dimensions, *readings),
    ]


def format_arrays(metrics: int) -> str:
    """Return the format of both arrays, for a number of metrics."""
    array = "iiii" + ("ii" if metrics else "")
    return f"{array}{'ih' * metrics} {array}{'id' * metrics}"


@cache
def _row(metrics: int) -> Struct:
    return Struct(f"!h iq i16s iq ih ih i? {format_arrays(metrics)}")
