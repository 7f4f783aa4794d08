"""Reading the samples of the last minutes."""

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from sluice.core.query.rollup_rows import Sample
from sluice.edge.query.entities import Entity
from sluice.edge.query.reading import Reader, as_json

MOST_SAMPLES = 20_000
"""The most samples of one answer: about 2 MB of a device's usual metrics."""

# The newest first, so that the oldest ones exceed the limit.
_SAMPLES = """
    SELECT coalesce(json_agg(json_build_array(entity_key, micros, metric_keys, readings) ORDER BY micros), '[]')
    FROM (
        SELECT
            entity_key, (extract(epoch FROM effective_time) * 1000000)::bigint AS micros, metric_keys, readings
        FROM sample
        WHERE entity_key IN (SELECT json_array_elements_text($1::json)::bigint)
        AND effective_time > to_timestamp($2::double precision)
        AND metric_keys <> '{}'
        ORDER BY effective_time DESC
        LIMIT $3::int
    ) AS newest
"""

# Not per fleet: aggregation's progress is the same for all.
_RECEIVED = """
    SELECT json_build_array(
        (extract(epoch FROM max(received_until)) * 1000000)::bigint,
        (extract(epoch FROM min(received_until)) * 1000000)::bigint
    )
    FROM coverage WHERE consumer = 'aggregate' AND topic = 'raw-events' AND isfinite(received_until)
"""


class Received(msgspec.Struct, frozen=True, array_like=True):
    """Up to which reception events are counted, in microseconds: in the partition that is furthest ahead, and in
    the one that is furthest behind.
    """

    newest: int | None
    oldest: int | None

    def until(self) -> datetime | None:
        """Return the reception of the newest counted event."""
        return None if self.newest is None else datetime.fromtimestamp(self.newest / 1e6, UTC)

    def all_until(self) -> datetime | None:
        """Return the reception up to which every partition is counted; None if aggregate has counted nothing."""
        return None if self.oldest is None else datetime.fromtimestamp(self.oldest / 1e6, UTC)

    def age(self, now: datetime) -> float | None:
        """Return the age of the newest in seconds."""
        newest = self.until()
        return None if newest is None else max(0.0, round((now - newest).total_seconds(), 3))


def read_samples(reader: Reader, entities: Sequence[Entity], start: datetime) -> list[Sample]:
    """Read the newest samples up to the limit, in time order."""
    keys = as_json([entity.key for entity in entities])
    return reader.read(list[Sample], _SAMPLES, keys, str(start.timestamp()), str(MOST_SAMPLES))


def read_received(reader: Reader) -> Received:
    """Read aggregation's progress."""
    return reader.read(Received, _RECEIVED)
