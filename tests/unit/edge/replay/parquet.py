"""Raw files as Firehose writes them, in memory."""

import io
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.support.samples import NOW

SCHEMA = pa.schema(
    [
        ("fleet_id", pa.string()),
        ("device_id", pa.string()),
        ("event_id", pa.string()),
        ("contract", pa.string()),
        ("schema_version", pa.int32()),
        ("event_time", pa.timestamp("ns")),
        ("received_at", pa.timestamp("ns")),
        ("flags", pa.list_(pa.string())),
        ("event", pa.string()),
        ("correlation_id", pa.string()),
        ("kafka_topic", pa.string()),
        ("kafka_partition", pa.int32()),
        ("kafka_offset", pa.int64()),
    ]
)


def row(offset: int, event_time: datetime = NOW, received_at: datetime | None = None, **changed: Any) -> dict[str, Any]:
    """One stored event."""
    return {
        "fleet_id": "demo",
        "device_id": "press-1",
        "event_id": f"{offset}",
        "contract": "telemetry",
        "schema_version": 2,
        "event_time": event_time.replace(tzinfo=None),
        "received_at": (received_at or event_time).replace(tzinfo=None),
        "flags": None,
        "event": f'{{"n":{offset}}}',
        "correlation_id": "c-1",
        "kafka_topic": "raw-events",
        "kafka_partition": 3,
        "kafka_offset": offset,
    } | changed


def tabulate(rows: Iterable[Mapping[str, Any]], without: Iterable[str] = ()) -> pa.Table:
    """Rows as a table; earlier releases wrote fewer columns."""
    return pa.Table.from_pylist([*rows], schema=SCHEMA).drop_columns([*without])


def write_file(
    rows: Iterable[Mapping[str, Any]], without: Iterable[str] = (), group: int = 7, *, int96: bool = True
) -> bytes:
    """A file with groups of so many rows, and times as Firehose writes them or as other writers do."""
    file = io.BytesIO()
    table = tabulate(rows, without)
    pq.write_table(table, file, row_group_size=group, use_deprecated_int96_timestamps=int96, coerce_timestamps="us")
    return file.getvalue()


class Files:
    """What a raw bucket holds; it answers reads of ranges."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.held = dict(files)

    def get_range(self, name: str, wanted: str) -> tuple[bytes, int]:
        data = self.held[name]
        first, _, last = wanted.partition("-")
        found = data[int(first) : int(last) + 1] if first else data[-int(last) :]
        return found, len(data)
