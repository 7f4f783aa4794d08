"""The database's facts about one event: its samples, aggregate's progress, and its windows."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
from aws_lambda_powertools import Logger

from sluice.core.errors import Refusal, Retryable
from sluice.core.events.identity import event_key
from sluice.core.query.completeness import describe
from sluice.core.query.paging import Page
from sluice.core.records import Origin
from sluice.core.rollups.resolutions import RESOLUTIONS, WIDTHS, floor_to
from sluice.core.trace.incidents import TracedIncident
from sluice.core.trace.outcomes import (
    AGGREGATE,
    DeviceNumbers,
    Numbers,
    Progress,
    TracedReplay,
    TracedSample,
    TracedWindow,
    Who,
)
from sluice.edge.query.entities import Entity
from sluice.edge.query.reading import Reader, as_json
from sluice.edge.query.rollups import RollupReader
from sluice.edge.trace.incidents import read_incidents

logger = Logger()

# In one statement: coverage and samples are then from the same snapshot.
_KNOWN = """
    SELECT json_build_object(
        'devices', (
            SELECT coalesce(json_agg(json_build_array(
                wanted ->> 0, wanted ->> 1, entity_key, shard,
                (
                    SELECT coalesce(json_agg(json_build_array(
                        (extract(epoch FROM effective_time) * 1000000)::bigint, cardinality(metric_keys),
                        (
                            SELECT coalesce(json_agg(json_build_array(
                                'replay-' || left(plan_hash, 16), state,
                                (extract(epoch FROM ended_at) * 1000000)::bigint,
                                was_written_before(sample.xmin, samples_before)
                            ) ORDER BY replay_number), '[]')
                            FROM replay
                            WHERE coalesce(replay.fleet_id, entity.fleet_id) = entity.fleet_id
                                AND hours @> effective_time AND state NOT IN ('cancelled', 'failed')
                                AND coalesce(
                                    nullif(plan -> 'device_ids', 'null') ? entity.device_id, true
                                )
                        )
                    ) ORDER BY effective_time), '[]')
                    FROM sample WHERE sample.entity_key = entity.entity_key AND sample.event_key = $2::uuid
                ),
                (
                    SELECT (extract(epoch FROM received_at) * 1000000)::bigint
                    FROM settled_event
                    WHERE settled_event.entity_key = entity.entity_key AND settled_event.event_key = $2::uuid
                )
            )), '[]')
            FROM json_array_elements($1::json) AS wanted
            INNER JOIN entity ON entity.fleet_id = wanted ->> 0 AND entity.device_id = wanted ->> 1
        ),
        'progress', (
            SELECT coalesce(json_agg(json_build_array(
                place ->> 0, (place ->> 1)::integer, (place ->> 2)::bigint,
                CASE
                    WHEN coverage.offsets @> (place ->> 2)::bigint THEN 'done'
                    WHEN (place ->> 2)::bigint < upper(coverage.offsets) THEN 'passed_over'
                    ELSE 'in_flight'
                END,
                (
                    SELECT 'replay-' || left(plan_hash, 16)
                    FROM counted_back JOIN replay USING (replay_number)
                    WHERE counted_back.consumer = $4 AND counted_back.topic = place ->> 0
                        AND counted_back.partition = (place ->> 1)::integer
                        AND counted_back.offsets @> (place ->> 2)::bigint
                    ORDER BY replay_number DESC LIMIT 1
                )
            )), '[]')
            FROM json_array_elements($3::json) AS place
            LEFT JOIN coverage
                ON coverage.consumer = $4 AND coverage.topic = place ->> 0
                AND coverage.partition = (place ->> 1)::integer
        ),
        'floor', (
            SELECT (extract(epoch FROM floor) * 1000000)::bigint FROM horizon
            WHERE store = 'sample' AND isfinite(floor)
        )
    )
"""


class _Device(msgspec.Struct, frozen=True, array_like=True):
    fleet_id: str
    device_id: str
    key: int
    shard: int
    samples: list[tuple[int, int, list[tuple[str, str, int | None, bool]]]]
    settled_at: int | None


class _EventFacts(msgspec.Struct, frozen=True):
    devices: list[_Device]
    progress: list[tuple[str, int, int, Progress, str | None]]
    floor: int | None


class TraceReader:
    """Reads the database's facts about events."""

    def __init__(self, reader: Reader, rollups: RollupReader) -> None:
        self._reader = reader
        self._rollups = rollups

    def read(self, event_id: str, devices: Sequence[Who], origins: Iterable[Origin]) -> Numbers:
        """Read everything about an event of some devices, and about some offsets."""
        found = self._reader.read(
            _EventFacts,
            _KNOWN,
            as_json(devices),
            event_key(event_id).hex(),
            as_json([[origin.topic, origin.partition, origin.offset] for origin in origins]),
            AGGREGATE,
        )
        dealt_with = [
            (Origin(topic, partition, offset), progress, replay)
            for topic, partition, offset, progress, replay in found.progress
        ]
        return Numbers(
            dict.fromkeys(devices, DeviceNumbers())
            | {
                (device.fleet_id, device.device_id): DeviceNumbers(
                    tuple(self._read_sample(device, *sample) for sample in device.samples),
                    _moment(device.settled_at),
                )
                for device in found.devices
            },
            {origin: progress for origin, progress, _ in dealt_with},
            _moment(found.floor),
            {origin: replay for origin, _, replay in dealt_with if replay is not None},
            self._read_incidents(event_id, devices),
        )

    def _read_incidents(self, event_id: str, devices: Sequence[Who]) -> Mapping[Who, tuple[TracedIncident, ...]] | None:
        # They come last: where they take too long, the answer keeps the numbers.
        try:
            return read_incidents(self._reader, event_id, devices)
        except (Retryable, Refusal) as error:
            logger.warning("the incidents could not be read", reason=str(error))
            return None

    def _read_sample(
        self, device: _Device, micros: int, numbers: int, replays: Sequence[tuple[str, str, int | None, bool]]
    ) -> TracedSample:
        moment = _from_epoch(micros)
        entity = Entity(device.key, device.shard, device.device_id)
        windows = tuple(self._windows(entity, moment)) if numbers else ()
        replayed = (TracedReplay(replay, state, _moment(ended), kept) for replay, state, ended, kept in replays)
        return TracedSample(moment, numbers, windows, tuple(replayed))

    def _windows(self, entity: Entity, moment: datetime) -> Iterable[TracedWindow]:
        """Return the state of each window around a moment, as query does."""
        kept_from = self._rollups.kept_from()
        for resolution in RESOLUTIONS:
            width = WIDTHS[resolution]
            start = floor_to(moment, width)
            if start < kept_from[resolution]:
                yield TracedWindow(resolution, start, "moved", None)
                continue
            page = Page(resolution, start, start + width)
            known = self._rollups.know(page, [entity], kept_from[resolution])
            (stretch,) = describe(page.start, page.end, width, known)
            yield TracedWindow(resolution, start, stretch.state, stretch.reason)


def _moment(micros: int | None) -> datetime | None:
    return None if micros is None else _from_epoch(micros)


def _from_epoch(micros: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=micros)
