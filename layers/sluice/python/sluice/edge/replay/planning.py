"""Making a plan: which raw files hold the events of a range, and what the ledger expects of them.

check the range -> find the files -> ask the ledger -> seal and store the plan's list of files
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import rfc8785

from sluice.core.consumers import AGGREGATE, ARCHIVE
from sluice.core.errors import Refusal
from sluice.core.limits import Limits
from sluice.core.replay.plan import (
    HOUR,
    Files,
    Missing,
    Plan,
    PlanRefusedError,
    Span,
    Wanted,
    check_wanted,
    digest_files,
    receptions,
    seal,
    widen,
)
from sluice.core.samples.events import lookback
from sluice.core.times import write_time
from sluice.edge.bucket import Bucket
from sluice.edge.database import Connection, find_value
from sluice.edge.replay.expecting import Expecting
from sluice.edge.replay.retained import MARGIN, Retained
from sluice.edge.replay.tables import find_floor

LISTS = "replays/"
"""Where lists of files are stored in the control bucket, each under its digest."""
MOST_EVENTS = 20_000_000
"""What one generation may hold; it stays in the database until the replay ends."""
DAY = timedelta(days=1)

# Objects of releases before the index do not say when their events were received: they are read if their day fits.
_INDEXED = """
    SELECT object, received_from, received_to FROM counted_object WHERE object = ANY(%s)
"""
# What raw has held of some receptions. Objects without an index may be of any hour of their days.
_SPANNING = """
    SELECT object FROM counted_object
    WHERE received_from <= %(until)s AND received_to >= %(since)s
        OR received_from IS NULL AND object >= %(first)s AND object < %(last)s
"""
# Redriven events are always part of a replay: their day of storage says nothing of their hour.
_DISPLACED = """
    SELECT DISTINCT object FROM late_object
    WHERE (%(fleet)s::text IS NULL OR fleet_id = %(fleet)s) AND hour >= %(start)s AND hour < %(end)s
        AND (redriven > 0 OR %(include_late)s)
"""

# Gaps have both ends; a hole is known by the moment at which it was noticed, and perhaps by an event of it.
_MISSING = """
    SELECT min(since), max(until) FROM (
        SELECT nullif(received_from, '-infinity') AS since, received_to AS until
        FROM gap JOIN coverage USING (consumer, topic, partition)
        -- A gap that was passed over is closed by covering it, and one that was given up by leaving it.
        WHERE consumer = %(consumer)s AND (given_up OR NOT coverage.offsets @> gap.offsets)
        UNION ALL
        SELECT
            coalesce(
                (SELECT min(received_at) FROM missing_event AS m WHERE m.consumer = %(consumer)s),
                noticed_at - interval '6 hours'
            ),
            noticed_at
        FROM hole WHERE consumer = %(consumer)s AND missing
    ) AS lacking
    WHERE until > %(oldest)s
"""


class Place(msgspec.Struct, frozen=True):
    """Where a plan is made."""

    stage: str
    region: str
    raw: Bucket
    control: Bucket
    raw_days: int
    fixed_seconds: float
    """What a replay takes however few events it has."""
    per_second: float
    """How many events a second a replay sends at most."""


class Planning:
    """Makes plans, and checks that what a plan rests on is still there."""

    def __init__(self, place: Place, limits: Limits, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._place = place
        self._limits = limits
        self._clock = clock
        self._retained = Retained(limits, place.raw_days, clock)
        self._expecting = Expecting(limits, place.fixed_seconds, place.per_second)

    def make(self, connection: Connection, asked: Wanted | Missing) -> Plan:
        """Make a plan; nothing is changed but the stored list of files."""
        now = self._clock()
        wanted = self._find_missing(connection, now) if isinstance(asked, Missing) else asked
        check_wanted(wanted, now)
        start, end, widened = widen(wanted)
        self._check_fleet(connection, wanted)
        self._retained.check_held(connection, wanted, start, end)
        files = self.find_files(connection, wanted, start, end)
        if not self._expecting.holds_any(connection, wanted, start, end):
            detail = "raw holds no event for the range, as far as the ledger knows."
            raise Refusal(409, "range_empty", detail)
        size = sum(size for _, size in files.values())
        reaches_back = self._retained.find_reach(connection, wanted, start) is not None
        expected = self._expecting.expect(connection, wanted, start, end, size if reaches_back else None)
        if expected.events > MOST_EVENTS:
            detail = f"The range holds some {expected.events:,} events, and a plan at most {MOST_EVENTS:,}. Split it."
            raise Refusal(409, "range_too_large", detail)
        names = {name: etag for name, (etag, _) in files.items()}
        digest = digest_files(names)
        self._place.control.put(name_list(digest), rfc8785.dumps(dict(names)), "application/json")
        return seal(
            Plan(
                version=1,
                stage=self._place.stage,
                region=self._place.region,
                made_at=write_time(now),
                fleet_id=wanted.fleet_id,
                device_ids=wanted.device_ids,
                include_late=wanted.include_late,
                reprocess=wanted.reprocess,
                asked=Span(write_time(wanted.from_), write_time(wanted.to)),
                hours=Span(write_time(start), write_time(end)),
                widened=tuple(widened),
                files=Files(len(files), size, digest),
                expected=expected,
                warnings=tuple(self._warn(connection, wanted, end, now, reaches_back=reaches_back)),
            )
        )

    def check(self, connection: Connection, plan: Plan) -> None:
        """Refuse a plan that could not be made now. A person who changes a plan can also give it a new hash."""
        wanted, now = wanted_of(plan), self._clock()
        try:
            check_wanted(wanted, now)
            if widen(wanted)[:2] != (plan.hours_from, plan.hours_to) or datetime.fromisoformat(plan.made_at) > now:
                raise PlanRefusedError("plan_altered", "The plan's times do not fit each other. Make a new plan.")
            self._retained.check_held(connection, wanted, plan.hours_from, plan.hours_to)
        except Refusal as refusal:
            raise PlanRefusedError(refusal.code, refusal.detail) from refusal
        self.check_files(connection, plan)

    def check_files(self, connection: Connection, plan: Plan) -> None:
        """Refuse a plan whose files are not what they were."""
        found = self._place.control.find(name_list(plan.files.digest))
        if found is None:
            raise PlanRefusedError("plan_expired", "The plan's list of files is gone. Make a new plan.")
        planned: dict[str, str] = msgspec.json.decode(found[0])
        now_there = {name: etag for name, (etag, _) in self.find_files_of(connection, plan).items()}
        for name, etag in planned.items():
            # Files that have been looked through meanwhile, and hold nothing of these hours, are no longer listed.
            found_now = now_there.get(name) or (self._place.raw.find_size(name) or ("",))[0]
            if not found_now:
                detail = f"The raw file {name} has disappeared since the plan was made. Make a new plan."
                raise PlanRefusedError("plan_outdated", detail)
            if found_now != etag:
                detail = f"The raw file {name} has changed since the plan was made. Make a new plan."
                raise PlanRefusedError("plan_outdated", detail)

    def find_files_of(self, connection: Connection, plan: Plan) -> dict[str, tuple[str, int]]:
        """Find the raw files of a plan as they are now."""
        return self.find_files(connection, wanted_of(plan), plan.hours_from, plan.hours_to)

    def find_files(
        self, connection: Connection, wanted: Wanted, start: datetime, end: datetime
    ) -> dict[str, tuple[str, int]]:
        """Find the raw files that may hold events of some hours; return their names, ETags and sizes."""
        since, until = receptions(start, end, self._limits)
        reach = self._retained.find_reach(connection, wanted, start)
        since = reach or since
        found: dict[str, tuple[str, int]] = {}
        # A row is stored on the day of its reception; with a backlog, on the next one.
        day = since.date()
        while day <= (until + DAY).date():
            for page in self._place.raw.list_sizes(self._day(day.isoformat())):
                found |= page
            day += DAY
        if reach is not None:
            self._check_present(connection, found, since, until)
        indexed = {
            name: (received_from, received_to)
            for name, received_from, received_to in connection.execute(_INDEXED, [[*found]])
        }
        wanted_files = {
            name: described
            for name, described in found.items()
            if _overlaps(indexed.get(name, (None, None)), since, until)
        }
        asked = {"fleet": wanted.fleet_id, "start": start, "end": end, "include_late": wanted.include_late}
        displaced = {name for (name,) in connection.execute(_DISPLACED, asked)}
        for name in sorted(displaced - wanted_files.keys()):
            described = found.get(name) or self._place.raw.find_size(name)
            if described is not None:
                wanted_files[name] = described
        return wanted_files

    def _check_present(
        self, connection: Connection, found: Mapping[str, tuple[str, int]], since: datetime, until: datetime
    ) -> None:
        """Refuse to compute windows as a whole while raw lacks a file of some receptions that was counted."""
        asked = {
            "since": since,
            "until": until,
            "first": self._day(since.date().isoformat()),
            "last": self._day((until + 2 * DAY).date().isoformat()),
        }
        for (name,) in connection.execute(_SPANNING, asked).fetchall():
            if name not in found and self._place.raw.find_size(name) is None:
                detail = f"raw lacks the file {name}, whose events are counted. Restore it, and make a new plan."
                raise PlanRefusedError("raw_incomplete", detail)

    def _day(self, day: str) -> str:
        return f"raw/region={self._place.region}/dt={day}/"

    def _check_fleet(self, connection: Connection, wanted: Wanted) -> None:
        if wanted.fleet_id is None:
            return
        if "\0" in wanted.fleet_id or not find_value(
            connection, "SELECT true FROM fleet WHERE fleet_id = %s", [wanted.fleet_id]
        ):
            raise Refusal(404, "unknown_fleet", f"There is no fleet {wanted.fleet_id[:64]!r}.")
        if wanted.device_ids is not None:
            known = {
                device
                for (device,) in connection.execute(
                    "SELECT device_id FROM entity WHERE fleet_id = %s AND device_id = ANY(%s)",
                    [wanted.fleet_id, [device.replace("\0", "") for device in wanted.device_ids]],
                )
            }
            for device in wanted.device_ids:
                if device not in known:
                    detail = f"Fleet {wanted.fleet_id} has no device {device[:128]!r} that was ever counted."
                    raise Refusal(404, "unknown_device", detail)

    def find_reach(self, connection: Connection, plan: Plan) -> datetime | None:
        """Return from which reception on a plan's events are read, if it may have to compute expired hours."""
        return self._retained.find_reach(connection, wanted_of(plan), plan.hours_from)

    def _find_missing(self, connection: Connection, now: datetime) -> Wanted:
        """Find the hours that lack events: by when what aggregate gave up, lost or passed over was received."""
        floor = find_floor(connection)
        # Older hours cannot be swapped. The ledger goes on naming what they lack.
        oldest = now - DAY if floor is None else floor + MARGIN
        row = connection.execute(_MISSING, {"consumer": AGGREGATE.name, "oldest": oldest}).fetchone()
        if row is None or row[1] is None:
            raise Refusal(
                409, "nothing_missing", "aggregate has counted every event that it has come to and still can."
            )
        since, until = row
        start = max((since or oldest) - self._limits.late, oldest)
        return Wanted(from_=start, to=min(until + self._limits.clock_ahead, now))

    def _warn(
        self, connection: Connection, wanted: Wanted, end: datetime, now: datetime, *, reaches_back: bool
    ) -> list[str]:
        warnings = []
        if reaches_back:
            hours = lookback(self._limits) / HOUR
            warnings.append(
                f"Samples of these hours have expired, or may before the swap. So events of up to {hours:.0f} hours"
                " around them are sent too: they decide which copy of an id counts. `events` includes them."
            )
        if end + self._limits.late > now:
            warnings.append(
                "Events of these hours may still arrive in time. Those that arrive after the replay has begun are"
                " counted as usual."
            )
        missing = find_value(
            connection,
            "SELECT coalesce(sum(upper(offsets) - lower(offsets)), 0)::bigint"
            " FROM hole WHERE consumer = %s AND missing",
            [ARCHIVE.name],
        )
        if missing:
            fate = "leaves the numbers" if wanted.reprocess else "stays in the numbers"
            warnings.append(
                f"raw lacks {missing:,} accepted events of all fleets. A replay cannot count them: any of them that is"
                f" counted now {fate}."
            )
        return warnings


def name_list(digest: str) -> str:
    """Name the stored list of a plan's files."""
    return f"{LISTS}{digest}.json"


def wanted_of(plan: Plan) -> Wanted:
    """Return what a plan was asked for."""
    return Wanted(
        fleet_id=plan.fleet_id,
        from_=datetime.fromisoformat(plan.asked.from_),
        to=datetime.fromisoformat(plan.asked.to),
        device_ids=plan.device_ids,
        include_late=plan.include_late,
        reprocess=plan.reprocess,
    )


def _overlaps(received: tuple[Any, Any], since: datetime, until: datetime) -> bool:
    first, last = received
    return first is None or last is None or (first <= until and last >= since)
