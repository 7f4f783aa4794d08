"""What the ledger expects of a replay: how many events it sends and counts, and how long it takes."""

from datetime import datetime
from typing import Any

import msgspec

from sluice.core.consumers import AGGREGATE, ARCHIVE, ARCHIVED, COUNTED, DUPLICATE
from sluice.core.limits import Limits
from sluice.core.replay.forecast import Past, forecast
from sluice.core.replay.plan import Expected, Wanted, receptions
from sluice.core.samples.events import lookback
from sluice.edge.database import Connection, find_value

READ_BYTES_A_SECOND = 40 * 1024 * 1024
"""How fast all invocations of resend together read files, at least."""

_COUNTS = """
    SELECT consumer, outcome, sum(events)::bigint FROM outcome
    WHERE (%(fleet)s::text IS NULL OR fleet_id = %(fleet)s)
        AND received_hour >= %(start)s AND received_hour < %(end)s AND consumer = ANY(%(consumers)s)
    GROUP BY consumer, outcome
"""
# What was received in a span that begins and ends within hours: of these, their share.
_ARCHIVED_WITHIN = """
    SELECT coalesce(sum(
        events * extract(
            epoch FROM least(received_hour + interval '1 hour', %(until)s) - greatest(received_hour, %(since)s)
        ) / 3600
    ), 0)::bigint
    FROM outcome
    WHERE (%(fleet)s::text IS NULL OR fleet_id = %(fleet)s) AND consumer = %(consumer)s AND outcome = %(outcome)s
        AND received_hour > %(since)s::timestamptz - interval '1 hour' AND received_hour < %(until)s
"""
_LATE_EVENTS = """
    SELECT coalesce(sum(events), 0)::bigint FROM late_object
    WHERE (%(fleet)s::text IS NULL OR fleet_id = %(fleet)s) AND hour >= %(start)s AND hour < %(end)s
"""

# What earlier replays took, the newest first. Those that compute every window again take longer.
_PAST = """
    SELECT
        (counts ->> 'recounted')::bigint, extract(epoch FROM ended_at - claimed_at)::float,
        extract(epoch FROM (begun_at ->> 'verifying')::timestamptz - (begun_at ->> 'resending')::timestamptz)::float
    FROM replay
    WHERE state = 'done' AND counts ? 'recounted' AND begun_at ?& ARRAY['resending', 'verifying']
        AND (plan ->> 'reprocess')::boolean = %s
    ORDER BY ended_at DESC LIMIT 10
"""


class Expecting(msgspec.Struct, frozen=True):
    """What expectations rest on beside the ledger."""

    limits: Limits
    fixed_seconds: float
    """What a replay takes however few events it has, while none has ended here."""
    per_second: float
    """How many events a second a replay sends at most."""

    def holds_any(self, connection: Connection, wanted: Wanted, start: datetime, end: datetime) -> bool:
        """Return whether raw may hold an event of some hours: it may have been received after them, but in time."""
        asked: dict[str, Any] = {"fleet": wanted.fleet_id, "start": start, "end": end + self.limits.late}
        # reconcile counts files after some minutes: until then, what aggregate has counted tells of them.
        counted = connection.execute(_COUNTS, asked | {"consumers": [ARCHIVE.name, AGGREGATE.name]})
        archived = sum(events for _, outcome, events in counted if outcome in (ARCHIVED, COUNTED, DUPLICATE))
        late = find_value(connection, _LATE_EVENTS, asked | {"end": end}) if wanted.include_late else 0
        return archived > 0 or late > 0

    def expect(
        self, connection: Connection, wanted: Wanted, start: datetime, end: datetime, far_bytes: int | None
    ) -> Expected:
        """Say what the ledger expects; `far_bytes`: how much is read to look for earlier copies, if they matter."""
        asked: dict[str, Any] = {"fleet": wanted.fleet_id, "start": start, "end": end}
        asked["consumers"] = [ARCHIVE.name, AGGREGATE.name]
        counts: dict[tuple[str, str], int] = {
            (consumer, outcome): events for consumer, outcome, events in connection.execute(_COUNTS, asked)
        }
        archived = counts.get((ARCHIVE.name, ARCHIVED), 0)
        counted, late, duplicates = (
            counts.get((AGGREGATE.name, outcome), 0) for outcome in ("counted", "late", "duplicate")
        )
        archived = max(archived, counted + late + duplicates)
        uncounted = max(0, archived - counted - late - duplicates)
        share = self._share(connection, wanted, start, end)
        late_here = int(find_value(connection, _LATE_EVENTS, asked))
        # Late events are counted by the hour of their reception, which may be another one.
        events = round(max(0, archived - late) * share)
        if wanted.include_late:
            events += round(late_here * share)
        if far_bytes is not None:
            # What counts near the hours is sent too.
            events = max(events, self._count_near(connection, wanted, start, end))
        past = [Past(*row) for row in connection.execute(_PAST, [wanted.reprocess])]
        told = forecast(events, past, self.fixed_seconds, self.per_second)
        reading = (far_bytes or 0) / READ_BYTES_A_SECOND
        return Expected(
            events=events,
            late=round(late_here * share),
            duplicates=round(duplicates * share),
            uncounted=round(uncounted * share),
            seconds=round(told.seconds + reading),
            least_seconds=round(told.least + reading),
            most_seconds=round(told.most + reading),
            seconds_from=told.rests_on,
        )

    def _count_near(self, connection: Connection, wanted: Wanted, start: datetime, end: datetime) -> int:
        """Estimate what is sent of hours that may be computed as a whole: what counts around them too."""
        asked = {
            "fleet": wanted.fleet_id,
            "since": start - lookback(self.limits),
            "until": receptions(start, end, self.limits)[1],
            "consumer": ARCHIVE.name,
            "outcome": ARCHIVED,
        }
        return int(find_value(connection, _ARCHIVED_WITHIN, asked))

    def _share(self, connection: Connection, wanted: Wanted, start: datetime, end: datetime) -> float:
        """Estimate which part of a fleet's events are of some devices, by their samples."""
        if wanted.device_ids is None:
            return 1.0
        # Without samples the share is unknown: all events may be of these devices.
        query = (
            "SELECT coalesce(count(*) FILTER (WHERE device_id = ANY(%s))::float / nullif(count(*), 0), 1)"
            " FROM sample JOIN entity USING (entity_key)"
            " WHERE fleet_id = %s AND effective_time >= %s AND effective_time < %s"
        )
        return float(find_value(connection, query, [[*wanted.device_ids], wanted.fleet_id, start, end]))
