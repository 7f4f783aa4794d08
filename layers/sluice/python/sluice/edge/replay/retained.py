"""Whether raw and the database still hold what a replay needs, and will for as long as it takes."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec

from sluice.core.consumers import AGGREGATE, ARCHIVE, ARCHIVED, COUNTED, DUPLICATE, LATE
from sluice.core.errors import Refusal
from sluice.core.limits import Limits
from sluice.core.replay.plan import REMEMBERED, Wanted, receptions
from sluice.core.times import write_time
from sluice.edge.database import Connection, find_value
from sluice.edge.replay.tables import find_floor

DAY = timedelta(days=1)
MARGIN = timedelta(hours=1)
"""How much longer than the plan says a replay may take before the samples of its first hour expire."""
LONGEST_DRAIN = timedelta(hours=6)
"""How long a replay may wait before its swap: `replay-events` keeps records no longer."""

# Hour by hour: more in one hour must not hide that another lacks some.
_UNARCHIVED = """
    SELECT coalesce(sum(greatest(counted - archived, 0)), 0)::bigint FROM (
        SELECT
            coalesce(sum(events) FILTER (WHERE consumer = %(archive)s AND outcome = %(archived)s), 0) AS archived,
            coalesce(sum(events) FILTER (WHERE consumer = %(aggregate)s AND outcome = ANY(%(counted)s)), 0) AS counted
        FROM outcome
        WHERE (%(fleet)s::text IS NULL OR fleet_id = %(fleet)s) AND consumer IN (%(archive)s, %(aggregate)s)
            AND received_hour >= date_trunc('hour', %(since)s::timestamptz, 'UTC') AND received_hour < %(until)s
        GROUP BY fleet_id, received_hour
    ) AS compared
"""
# What raw lacks of some receptions. A hole is known by the moment at which it was noticed, and perhaps by an event.
_LACKING = """
    SELECT coalesce(sum(upper(offsets) - lower(offsets)), 0)::bigint FROM hole AS h
    WHERE consumer = %(consumer)s AND missing AND noticed_at >= %(since)s
        AND coalesce(
            (
                SELECT min(received_at) FROM missing_event AS m
                WHERE (m.consumer, m.topic, m.partition) = (h.consumer, h.topic, h.partition)
                    AND h.offsets @> m.kafka_offset
            ),
            noticed_at - interval '6 hours'
        ) < %(until)s
"""


class Retained(msgspec.Struct, frozen=True):
    """For how long a stage keeps what replays need."""

    limits: Limits
    raw_days: int
    clock: Callable[[], datetime]

    def find_reach(self, connection: Connection, wanted: Wanted, start: datetime) -> datetime | None:
        """Find how far back raw tells what samples tell no more: which ids had counted or were settled before."""
        floor = find_floor(connection)
        if not wanted.reprocess or wanted.device_ids is not None:
            return None
        if floor is None or start >= floor + LONGEST_DRAIN:
            return None
        return start - REMEMBERED - self.limits.clock_ahead

    def check_held(self, connection: Connection, wanted: Wanted, start: datetime, end: datetime) -> None:
        """Refuse hours that raw or the database no longer hold, or will not for as long as a replay takes."""
        now = self.clock()
        oldest = now - self.raw_days * DAY
        if start < oldest:
            detail = f"raw keeps events for {self.raw_days} days: the range must begin after {write_time(oldest)}."
            raise Refusal(409, "beyond_retention", detail)
        floor = find_floor(connection)
        if floor is None:
            return
        if start >= floor + MARGIN:
            # They may expire before the swap.
            if self.find_reach(connection, wanted, start) is not None:
                self._check_complete(connection, wanted, start, min(end, floor + LONGEST_DRAIN))
            return
        if not wanted.reprocess or wanted.device_ids is not None:
            detail = (
                f"Samples before {write_time(floor + MARGIN)} are gone or will be within the hour. Windows of these"
                " hours are computed again as a whole only: add --reprocess, and name no devices."
            )
            raise Refusal(409, "beyond_samples", detail)
        hours_floor = find_value(connection, "SELECT nullif(floor, '-infinity') FROM horizon WHERE store = 'rollup_1h'")
        bounds = [oldest + REMEMBERED + self.limits.clock_ahead, *([hours_floor] if hours_floor else [])]
        if start < max(bounds):
            detail = (
                f"Hours before {write_time(max(bounds))} cannot be computed again: raw must hold what came in a day"
                " before them, and the database their rows."
            )
            raise Refusal(409, "beyond_retention", detail)
        self._check_complete(connection, wanted, start, min(end, floor + LONGEST_DRAIN))

    def _check_complete(self, connection: Connection, wanted: Wanted, start: datetime, end: datetime) -> None:
        """Refuse to compute windows as a whole from raw where it lacks events that are counted in them."""
        since, until = receptions(start, end, self.limits)
        asked: dict[str, Any] = {"consumer": ARCHIVE.name, "since": since, "until": until}
        missing = int(find_value(connection, _LACKING, asked))
        asked |= {
            "fleet": wanted.fleet_id,
            "archive": ARCHIVE.name,
            "archived": ARCHIVED,
            "aggregate": AGGREGATE.name,
            "counted": [COUNTED, DUPLICATE, LATE],
        }
        missing = max(missing, int(find_value(connection, _UNARCHIVED, asked)))
        if missing > 0:
            detail = (
                f"raw lacks {missing:,} events of hours whose samples have expired. Computed from raw, their numbers"
                " would lack them too. See `sluice statement`."
            )
            raise Refusal(409, "raw_incomplete", detail)
