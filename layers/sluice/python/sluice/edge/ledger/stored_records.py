"""The records behind the rows of a raw file and behind dead letters, in the same columns."""

import gzip
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sluice.core.consumers import RAW_EVENTS
from sluice.core.events.envelope import REDRIVEN
from sluice.core.events.reception import EARLIEST, is_credible, latest_reception
from sluice.core.failures.salvage import GIVEN_UP
from sluice.core.ledger.groups import LedgerGroup, hour_of
from sluice.core.times import CLOCK_AHEAD, LATE_ARRIVAL

SCHEMA = pa.schema(
    [
        ("topic", pa.string()),
        ("partition", pa.int64()),
        ("offset", pa.int64()),
        ("received", pa.int64()),
        ("hour", pa.int64()),
        ("fleet_id", pa.string()),
        ("contract", pa.string()),
        ("schema_version", pa.int64()),
        ("given_up", pa.bool_()),
    ]
)
"""Receptions and hours are microseconds; UNKNOWN is a reception that is not given or cannot be true.

Given up marks records that their consumer could have processed, with more time or room.
"""
UNKNOWN = int(np.iinfo(np.int64).min)

Clock = Callable[[], datetime]

_COLUMNS = ["kafka_topic", "kafka_partition", "kafka_offset", "received_at", "fleet_id", "contract", "schema_version"]
_TIMES = ["event_time", "flags"]
_PLACE = ("kafka_partition", "kafka_offset")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR = 3_600_000_000


class LetterRow(msgspec.Struct, frozen=True):
    """The counted columns of a stored dead letter; times are in the Hive form."""

    letter_id: str
    consumer: str
    reason: str
    failed_at: str
    fleet_id: str = ""
    contract: str = ""
    schema_version: int = 0
    received_at: str | None = None
    kafka_topic: str | None = None
    kafka_partition: int | None = None
    kafka_offset: int | None = None


_read_letter = msgspec.json.Decoder(LetterRow).decode


Displaced = Counter[tuple[str, datetime]]
"""How many events there are of a kind, by their fleet and the hour that they belong to."""


class Indexed(msgspec.Struct, frozen=True):
    """The events of a file that a replay would not look for on the file's day."""

    late: Displaced
    redriven: Displaced
    """They were received long before they were stored."""


def read_rows(file: Any, clock: Clock) -> tuple[pa.Table, Indexed]:
    """Read the records of a raw file, and which are late or redriven: only the identifying columns of seventeen."""
    raw = pq.ParquetFile(file, pre_buffer=True).read(columns=[*_COLUMNS, *_TIMES], use_threads=False)
    if any(raw[name].null_count for name in _PLACE):
        raise ValueError("a row does not name its record's offset")
    received = pc.cast(pc.cast(raw["received_at"], pa.timestamp("us"), safe=False), pa.int64())
    # The time after the file was read: a file written during the run contains receptions after the run's start.
    now = clock()
    # Bounds as in is_credible. After a future reception, a recreated topic could no longer be detected.
    early, late = (as_micros(moment) for moment in (EARLIEST, latest_reception(now)))
    credible = pc.fill_null(pc.and_(pc.greater_equal(received, early), pc.less_equal(received, late)), False)
    hours = pc.multiply(pc.divide(pc.if_else(credible, received, as_micros(now)), HOUR), HOUR)
    columns = {
        "topic": _read_topics(raw),
        "partition": raw["kafka_partition"],
        "offset": raw["kafka_offset"],
        # The reception of a redriven event is older than its record: it does not say to which topic that belongs.
        "received": pc.if_else(pc.and_(credible, pc.invert(have_flag(raw, REDRIVEN))), received, UNKNOWN),
        "hour": hours,
        "given_up": pa.repeat(pa.scalar(False), raw.num_rows),
    } | {name: raw[name] for name in ("fleet_id", "contract", "schema_version")}
    records = pa.table({field.name: pc.cast(columns[field.name], field.type) for field in SCHEMA}, schema=SCHEMA)
    return records, _index(raw)


def find_receptions(records: pa.Table) -> tuple[datetime | None, datetime | None]:
    """Return the first and the last reception of some records, or None twice if one of them is not known."""
    if not records.num_rows or pc.any(pc.equal(records["received"], UNKNOWN)).as_py():
        return None, None
    bounds = pc.min_max(records["received"]).as_py()
    return as_moment(bounds["min"]), as_moment(bounds["max"])


def have_flag(raw: pa.Table, flag: str) -> Any:
    """Return which rows have a flag."""
    if "flags" not in raw.column_names:
        return pa.repeat(pa.scalar(False), raw.num_rows)
    flags = raw["flags"].combine_chunks()
    flagged = pc.list_parent_indices(flags).filter(pc.equal(pc.list_flatten(flags), flag))
    return pc.is_in(pa.array(np.arange(raw.num_rows)), pc.cast(flagged, pa.int64()))


def _index(raw: pa.Table) -> Indexed:
    index = Indexed(Displaced(), Displaced())
    if not {*_TIMES} <= {*raw.column_names}:
        # A replay may find fewer of them then. That keeps no file from being counted.
        return index
    flagged = raw.filter(pc.is_valid(raw["flags"])).select(["fleet_id", "event_time", "received_at", "flags"])
    # Firehose writes nanoseconds, which Python's own times do not have.
    for place, name in ((1, "event_time"), (2, "received_at")):
        flagged = flagged.set_column(place, name, pc.cast(flagged[name], pa.timestamp("us"), safe=False))
    for row in flagged.to_pylist():
        # The hour in which aggregate counts it.
        moment = row["received_at"] if CLOCK_AHEAD in row["flags"] else row["event_time"]
        for flag, found in ((LATE_ARRIVAL, index.late), (REDRIVEN, index.redriven)):
            if flag in row["flags"] and moment is not None:
                found[row["fleet_id"], hour_of(moment.replace(tzinfo=UTC))] += 1
    return index


def _read_topics(raw: pa.Table) -> Any:
    """Read the topics of rows: most are of raw-events, and name none."""
    if "kafka_topic" not in raw.column_names:
        return pa.repeat(RAW_EVENTS, raw.num_rows)
    return pc.fill_null(pc.cast(raw["kafka_topic"], pa.string()), RAW_EVENTS)


def read_letters(data: bytes) -> list[LetterRow]:
    """Read the letters of an object."""
    return [_read_letter(line) for line in gzip.decompress(data).splitlines()]


def records_of(letters: Iterable[LetterRow], clock: Clock) -> pa.Table:
    """Read the records behind letters, for events that were stored before they failed."""
    now = clock()
    rows = [
        {
            "topic": letter.kafka_topic,
            "partition": letter.kafka_partition,
            "offset": letter.kafka_offset,
            "received": UNKNOWN if received is None else as_micros(received),
            "hour": as_micros(hour_of(received or _read_time(letter.failed_at))),
            "fleet_id": letter.fleet_id,
            "contract": letter.contract,
            "schema_version": letter.schema_version,
            "given_up": letter.reason in GIVEN_UP,
        }
        for letter in letters
        if None not in (letter.kafka_topic, letter.kafka_partition, letter.kafka_offset)
        for received in [_read_reception(letter, now)]
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def count_rejected(letters: Iterable[LetterRow]) -> Counter[LedgerGroup]:
    """Count letters of events that never became a record, by the hour of their rejection."""
    return Counter(
        LedgerGroup(letter.fleet_id, hour_of(_read_time(letter.failed_at)), letter.contract, letter.schema_version)
        for letter in letters
    )


def as_micros(moment: datetime) -> int:
    """Write a time as a number."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def as_moment(micros: int) -> datetime:
    """Read a time that is written as a number."""
    return _EPOCH + timedelta(microseconds=micros)


def _read_reception(letter: LetterRow, now: datetime) -> datetime | None:
    received = None if letter.received_at is None else _read_time(letter.received_at)
    return received if received is not None and is_credible(received, now) else None


def _read_time(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
