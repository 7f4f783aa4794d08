"""Replays on a real database: what the function's steps do there, without brokers and buckets."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlparse

from sluice.core.events.envelope import HEADER, read_envelope
from sluice.core.limits import Limits
from sluice.core.records import KafkaRecord, Origin
from sluice.core.replay.plan import REMEMBERED, Expected, Files, Plan, Span, seal
from sluice.core.replay.records import Replayed, write_record
from sluice.core.samples.events import lookback
from sluice.core.times import time_flags, write_time
from sluice.edge import database
from sluice.edge.replay.counting_back import count_back
from sluice.edge.replay.recounting import Recounting
from sluice.edge.replay.replacing import Replacing, Sizes
from sluice.edge.replay.swapping import Swapping
from sluice.edge.replay.tables import Replay, ReplayTables
from sluice.edge.retry import Retry
from sluice.edge.rollup_archive.database import lock_files
from sluice.edge.rollup_archive.files import RollupFiles
from sluice.edge.samples.numbering import Numbering
from sluice.edge.settings import DatabaseSettings
from tests.database.aggregating import Sent
from tests.database.stored import Died, Dying
from tests.support import samples

PARTITIONS = 3
# Small enough that a slice takes several files, and each of them several row groups.
SIZES = Sizes(chunk=2000, max_file=9000)


def connect_as(dsn: str, role: str) -> database.Connection:
    """Connect with a function's own role and grants."""
    place = urlparse(dsn)
    assert place.hostname
    assert place.port
    login = DatabaseSettings(place.hostname, place.port, place.path[1:], f"sluice_{role}", "none", "us-east-1")
    return database.connect(login, 60)


@contextmanager
def connect_for_a_run(dsn: str, role: str) -> Iterator[database.Connection]:
    """Connect, and free the run's lock at the end: a busy server keeps it for a while after a connection is closed."""
    with closing(connect_as(dsn, role)) as connection:
        try:
            yield connection
        finally:
            connection.execute("SELECT pg_advisory_unlock_all()")


def make_plan(
    fleet_id: str,
    start: datetime,
    end: datetime,
    *,
    devices: Sequence[str] | None = None,
    include_late: bool = False,
    reprocess: bool = False,
    made_at: datetime | None = None,
) -> Plan:
    """A plan as planning would make it."""
    hours = Span(write_time(start), write_time(end))
    return seal(
        Plan(
            version=1,
            stage="test",
            region="us-east-1",
            made_at=write_time(made_at or datetime.now(UTC)),
            fleet_id=fleet_id,
            device_ids=None if devices is None else tuple(devices),
            include_late=include_late,
            reprocess=reprocess,
            asked=hours,
            hours=hours,
            widened=(),
            files=Files(0, 0, ""),
            expected=Expected(0, 0, 0, 0, 0),
            warnings=(),
        )
    )


def replayed(sent: Sent, number: int, place: int) -> KafkaRecord:
    """The record of replay-events that resend makes of a stored event."""
    record = sent.record()
    envelope = read_envelope(record.headers[HEADER])
    message = write_record(
        "replay-events", sent.device_id, record.value, envelope, Replayed(1, number, sent.partition, sent.offset)
    )
    return KafkaRecord(
        Origin("replay-events", place % PARTITIONS, place // PARTITIONS), record.value, dict(message.headers)
    )


def counts_at(sent: Sent) -> datetime:
    """When an event counts: its own time, or that of its reception if its clock ran ahead."""
    ahead = sent.event_time - sent.received_at > Limits().clock_ahead
    return sent.received_at if ahead else sent.event_time


class Replayer:
    """One replay, from its claim to the end of its swap."""

    def __init__(self, dsn: str, plan: Plan, files: RollupFiles | None = None) -> None:
        self._dsn = dsn
        self._files = files
        self._connection = connect_as(dsn, "replay")
        self.tables = ReplayTables(self._connection)
        with self._connection.transaction():
            self.number = self.tables.claim(plan, "execution", "someone")
        self.tables.note(self.number, reaches_back=plan.reprocess)
        self.plan = plan
        # Each replay's records have places of their own.
        self._sent = self.number * 1_000_000

    def close(self) -> None:
        self._connection.close()

    @property
    def replay(self) -> Replay:
        return self.tables.find(self.number)

    def resend(self, stored: Iterable[Sent]) -> int:
        """Send what belongs to the plan's hours through recount; return how many rows its generation gained."""
        chosen = [
            sent
            for sent in stored
            if sent.fleet_id == self.plan.fleet_id
            and (self.plan.device_ids is None or sent.device_id in self.plan.device_ids)
            and (self.plan.hours_from <= counts_at(sent) < self.plan.hours_to or self._decides(sent))
        ]
        records = [replayed(sent, self.number, self._sent + place) for place, sent in enumerate(chosen)]
        self._sent += len(records)
        return self.recount(records)

    def _decides(self, sent: Sent) -> bool:
        """Whether an event outside the hours may decide what counts in them."""
        if not self.plan.reprocess:
            return False
        around, limits = lookback(Limits()), Limits()
        near = self.plan.hours_from - around <= counts_at(sent) < self.plan.hours_to + around
        flagged = bool(time_flags(sent.event_time, sent.received_at, limits.clock_ahead, limits.late))
        return (near or flagged) and sent.received_at >= self.plan.hours_from - REMEMBERED

    def recount(self, records: Sequence[KafkaRecord]) -> int:
        store = database.Database(lambda: connect_as(self._dsn, "recount"), 60)
        with closing(store):
            work = Recounting(
                samples.contracts(), Limits(), store, Numbering(samples.contracts().book.series), "recount"
            )
            now = datetime.now(UTC) + timedelta(days=2)
            before = self._count()
            work.take_in([(one.origin, work.read(one, now)) for one in records], Retry(0))
            return self._count() - before

    def swap(self, most_units: int | None = None) -> int:
        """Swap everything, or so many units; return how many are left."""
        if self.tables.move(self.number, ["gathering", "resending", "draining"], "swapping"):
            self._connection.execute("SELECT close_generation(%s)", [self.number])
        done = 0

        def may_go_on() -> bool:
            nonlocal done
            done += 1
            return most_units is None or done <= most_units

        assert lock_files(self._connection)
        left = Swapping(self._connection, Limits(), holds_files=True).swap(self.replay, may_go_on)
        if not left and self._files is not None:
            left = Replacing(self._connection, self._files, self.replay, SIZES).replace(may_go_on)
        self._connection.execute("SELECT pg_advisory_unlock_all()")
        if not left:
            with self._connection.transaction():
                count_back(self._connection, self.replay)
        return left

    def swap_until_death(self, statements: int) -> bool:
        """Swap everything over a connection that is gone after so many statements; return whether it was."""
        self._connection.execute("SELECT close_generation(%s)", [self.number])
        self.tables.move(self.number, ["gathering"], "swapping")
        dying: Any = Dying(self._connection, statements)
        try:
            Swapping(dying, Limits(), holds_files=True).swap(self.replay, lambda: True)
        except Died:
            return True
        return False

    def changes(self) -> tuple[int, int]:
        """How many samples the swap has removed and added."""
        row = self._connection.execute(
            "SELECT coalesce(sum(removed), 0)::bigint, coalesce(sum(added), 0)::bigint FROM replay_swap"
            " WHERE replay_number = %s",
            [self.number],
        ).fetchone()
        assert row is not None
        return row[0], row[1]

    def _count(self) -> int:
        row = self._connection.execute(
            "SELECT count(*) FROM generation WHERE replay_number = %s", [self.number]
        ).fetchone()
        assert row is not None
        return int(row[0])
