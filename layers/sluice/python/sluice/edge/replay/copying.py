"""Rows of a generation in PostgreSQL's binary COPY format, as samples are copied."""

from collections.abc import Iterable, Mapping
from functools import cache
from struct import Struct

from sluice.core.replay.records import Replayed
from sluice.core.samples.events import Event
from sluice.edge.samples.copying import HEADER, TRAILER, count_micros, format_arrays, list_arrays
from sluice.edge.samples.numbering import NumberedEntity

COLUMNS = (
    "replay_number, raw_partition, raw_offset, received_at, entity_key, event_key, effective_time, shard, late,"
    " contract, schema_version, metric_keys, readings"
)


def write_rows(rows: Iterable[tuple[Replayed, Event, NumberedEntity, Mapping[int, float]]]) -> bytes:
    """Write rows of the columns above; each value is preceded by its length."""
    written = [HEADER]
    for replayed, event, entity, metrics in rows:
        contract = event.group.contract.encode()
        written.append(
            _row(len(contract), len(metrics)).pack(
                13,
                *(4, replayed.replay_number),
                *(4, replayed.raw_partition),
                *(8, replayed.raw_offset),
                *(8, count_micros(event.received_at)),
                *(8, entity.key),
                *(16, event.key),
                *(8, count_micros(event.effective_time)),
                *(2, entity.shard),
                *(1, event.late),
                *(len(contract), contract),
                *(4, event.group.schema_version),
                *list_arrays(metrics),
            )
        )
    written.append(TRAILER)
    return b"".join(written)


@cache
def _row(contract: int, metrics: int) -> Struct:
    return Struct(f"!h ii ii iq iq iq i16s iq ih i? i{contract}s ii {format_arrays(metrics)}")
