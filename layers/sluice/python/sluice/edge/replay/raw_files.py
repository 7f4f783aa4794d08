"""The rows of raw files that a replay sends again, chosen by columns: a file has other fleets and other hours too."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sluice.core.consumers import RAW_EVENTS
from sluice.core.events.envelope import VERSION, Envelope
from sluice.core.limits import Limits
from sluice.core.messages import Message
from sluice.core.replay.chunks import FilePart
from sluice.core.replay.records import VERSION as REPLAYED_VERSION
from sluice.core.replay.records import Replayed, write_record
from sluice.core.samples.events import lookback
from sluice.core.times import CLOCK_AHEAD
from sluice.edge.ledger.stored_records import as_micros, have_flag

COLUMNS = (
    "fleet_id",
    "device_id",
    "contract",
    "schema_version",
    "event_time",
    "received_at",
    "flags",
    "event",
    "correlation_id",
    "kafka_topic",
    "kafka_partition",
    "kafka_offset",
)
"""The columns from which a stored event's record is made again."""


ROWS = 10_000
"""How many rows are unpacked at a time."""


UNREADABLE = (pa.ArrowException, KeyError, ValueError, OSError)
"""How a file that is no Parquet of ours, or is damaged, fails to be read. A silent S3 is Retryable."""


class Scope(msgspec.Struct, frozen=True):
    """The events that a replay sends: those of a fleet, or of some devices, that count in its hours."""

    fleet_id: str | None
    device_ids: tuple[str, ...] | None
    start: datetime
    end: datetime
    received_from: datetime | None = None
    """From which reception on events are sent too that may decide what counts in the hours: earlier copies of an id."""


def read_footer(file: Any) -> int:
    """Return how many rows a file says it has; raise if it is no Parquet."""
    return int(pq.read_metadata(file).num_rows)


def read_messages(
    file: Any, part: FilePart, scope: Scope, limits: Limits, topic: str, number: int
) -> Iterator[Message]:
    """Read the records to send of one file, or of a part of it, some rows at a time."""
    parquet = pq.ParquetFile(file, pre_buffer=True)
    columns = [name for name in COLUMNS if name in parquet.schema_arrow.names]
    passed = 0
    for batch in parquet.iter_batches(ROWS, columns=columns, use_threads=False):
        chosen = choose(pa.table(batch), scope, limits)
        mine = range((part.part - passed) % part.parts, chosen.num_rows, part.parts)
        passed += chosen.num_rows
        for row in (chosen if part.parts == 1 else chosen.take(pa.array(mine, pa.int64()))).to_pylist():
            replayed = Replayed(REPLAYED_VERSION, number, row["kafka_partition"], row["kafka_offset"])
            yield write_record(topic, row["device_id"], row["event"].encode(), envelope_of(row), replayed)


def choose(table: pa.Table, scope: Scope, limits: Limits) -> pa.Table:
    """Keep the rows of a scope. Their hours are those in which aggregate counts them."""
    wanted = pc.is_valid(table["fleet_id"])
    if scope.fleet_id is not None:
        wanted = pc.equal(table["fleet_id"], scope.fleet_id)
    if scope.device_ids is not None:
        wanted = pc.and_(wanted, pc.is_in(table["device_id"], pa.array(scope.device_ids, pa.string())))
    if "kafka_topic" in table.column_names:
        wanted = pc.and_(wanted, pc.equal(pc.fill_null(table["kafka_topic"], RAW_EVENTS), RAW_EVENTS))
    table = table.filter(wanted)
    table = in_micros(table)
    event_time, received = (pc.cast(table[name], pa.int64()) for name in ("event_time", "received_at"))
    # Aggregate believes the flag of ingest, whatever the stored times say.
    ahead = pc.or_(
        pc.greater(pc.subtract(event_time, received), limits.clock_ahead.total_seconds() * 1e6),
        have_flag(table, CLOCK_AHEAD),
    )
    effective = pc.if_else(ahead, received, event_time)
    chosen = _within(effective, scope.start, scope.end)
    if scope.received_from is not None:
        # A copy nearby, or one under a wrong time, may have come first: then the one in the hours does not count.
        late = pc.greater(pc.subtract(received, event_time), limits.late.total_seconds() * 1e6)
        near = _within(effective, scope.start - lookback(limits), scope.end + lookback(limits))
        decides = pc.and_(
            pc.or_(pc.or_(ahead, late), near),
            _within(received, scope.received_from, scope.end + limits.late + limits.clock_ahead),
        )
        chosen = pc.or_(chosen, decides)
    return table.filter(chosen)


def _within(column: Any, start: datetime, end: datetime) -> Any:
    return pc.and_(pc.greater_equal(column, as_micros(start)), pc.less(column, as_micros(end)))


def in_micros(table: pa.Table) -> pa.Table:
    """Cut times to microseconds: Firehose writes nanoseconds, which Python's own times do not have."""
    for name in ("event_time", "received_at"):
        times = pc.cast(table[name], pa.timestamp("us"), safe=False)
        table = table.set_column(table.column_names.index(name), name, times)
    return table


def envelope_of(row: dict[str, Any]) -> Envelope:
    """Return the envelope under which a row's event was accepted."""
    return Envelope(
        version=VERSION,
        received_at=_aware(row["received_at"]),
        fleet_id=row["fleet_id"],
        contract=row["contract"],
        schema_version=row["schema_version"],
        flags=tuple(row.get("flags") or ()),
        correlation_id=row["correlation_id"],
    )


def _aware(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC)
