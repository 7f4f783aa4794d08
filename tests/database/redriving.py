"""A stage whose consumers have given records up, and what re-drives do there: without brokers and buckets."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import timedelta
from typing import Any

import msgspec

from sluice.core.errors import Fault, Poison
from sluice.core.failures.letters import Letter
from sluice.core.failures.salvage import GivenUp
from sluice.core.ledger.rerun import Taken
from sluice.core.records import KafkaRecord, read_records
from sluice.core.redrive.groups import key_of
from sluice.core.samples.events import put_down, read_event
from sluice.edge.database import Connection
from sluice.edge.redrive.giving import Takers
from sluice.edge.redrive.letter_files import LetterFiles
from sluice.edge.redrive.looking import Looking
from sluice.edge.redrive.redriving import Redriving, Sender
from tests.database.aggregating import LIMITS, Processes, Sent, Tables, now
from tests.database.replaying import connect_as, connect_for_a_run
from tests.database.stored import S3, Died, Dying, as_reconcile, count, letter_of
from tests.support import samples

EXPIRED = GivenUp("it waited for longer than an event may", "expired", 3)
POISON = Poison("no")
GAPS = "SELECT consumer, offsets::text FROM gap WHERE given_up ORDER BY 1, 2"
STANDINGS = "SELECT state, attempts, reason, count(*) FROM redrive_letter GROUP BY 1, 2, 3 ORDER BY 1, 2"


def run(dsn: str, sender: Sender, may_go_on: Callable[[], bool] = lambda: True) -> int:
    """Run as the schedule does; return how many events were produced."""
    with connect_for_a_run(dsn, "redrive") as connection:
        return Redriving(sender, connection, may_go_on).run()


def run_until_death(dsn: str, sender: Sender, statements: int) -> bool:
    """Run over a connection that is gone after so many statements; return whether it was."""
    with connect_for_a_run(dsn, "redrive") as connection:
        dying: Any = Dying(connection, statements)
        try:
            Redriving(sender, dying, lambda: True).run()
        except Died:
            return True
    return False


class Taker:
    """A consumer as redrive invokes it."""

    def __init__(self, world: "World", consumer: str) -> None:
        self._world, self._consumer = world, consumer
        self.events: list[dict[str, Any]] = []
        self.refuses: set[int] = set()
        """Offsets whose records it cannot process."""
        self.fails_at: int | None = None
        self.is_old = False
        self.dies = False

    def ask(self, event: msgspec.Raw, kind: type[Taken]) -> Taken:
        given: dict[str, Any] = msgspec.json.decode(event)
        self.events.append(given)
        records = [one for one in read_records(given) if self.fails_at is None or one.origin.offset < self.fails_at]
        good = [one for one in records if one.origin.offset not in self.refuses]
        if self._consumer == "aggregate":
            self._world.writer.add([read_event(one, samples.contracts(), LIMITS, now()) for one in good], set())
            bad = [put_down(one, POISON, now()) for one in records if one.origin.offset in self.refuses]
            self._world.writer.bury(bad)
        else:
            self._world.delivered += good
        if self.dies:
            raise Died
        failures = [] if self.fails_at is None else [{"itemIdentifier": {"partition": "p", "offset": self.fails_at}}]
        rejected = [
            {"partition": 0, "offset": one.origin.offset, "reason": "poison_record", "detail": "still\0 bad"}
            for one in records
            if one.origin.offset in self.refuses
        ]
        return msgspec.convert({"batchItemFailures": failures} | ({} if self.is_old else {"rejected": rejected}), kind)

    @property
    def offsets(self) -> list[list[int]]:
        return [[one.origin.offset for one in read_records(event)] for event in self.events]


class World:
    """A stage whose consumers have given records up."""

    def __init__(self, dsn: str, processes: Processes) -> None:
        self.dsn = dsn
        self.tables, self.reconcile = Tables(dsn), as_reconcile(dsn)
        self.owner = self.tables.connection
        self.owner.execute(
            "INSERT INTO fleet (fleet_id, events_per_second, rejects_per_second) VALUES ('demo', 10, 10)"
        )
        self.writer = processes.start()
        self.s3 = S3()
        self.delivered: list[KafkaRecord] = []
        self.takers = {name: Taker(self, name) for name in ("archive", "aggregate")}
        self.moment = now() - timedelta(minutes=20)
        self.ahead = timedelta(0)

    def close(self) -> None:
        self.owner.close()
        self.reconcile.close()

    def give_up(self, consumer: str, fault: Fault, offsets: Sequence[int], *, counted: bool = True) -> list[Letter]:
        """Store letters of a consumer, as deadletter does, and count them as reconcile does."""
        letters = [letter_of(self.sent(offset), consumer, self.moment, fault) for offset in offsets]
        if consumer == "aggregate" and isinstance(fault, Poison) and not isinstance(fault, GivenUp):
            self.writer.bury([put_down(self.sent(offset).record(), fault, now()) for offset in offsets])
        self.s3.put_letters(letters, offset=100 * len(self.s3.objects))
        if counted:
            self.count()
        return letters

    def sent(self, offset: int) -> Sent:
        return Sent(offset, self.moment, self.moment)

    def count(self) -> None:
        counts = count(self.reconcile, self.s3, all_letters=True)
        assert not counts.unreadable

    def store_rows(self) -> None:
        """Put a file of what archive has delivered, as Firehose does, and count it."""
        offsets = [one.origin.offset for one in self.delivered]
        self.delivered.clear()
        self.s3.put_rows([Sent(offset, self.moment, self.moment, redriven=True) for offset in offsets])
        self.count()

    def begin(self, letters: Sequence[Letter], consumer: str) -> int:
        row = self.owner.execute(
            "INSERT INTO redrive"
            " (group_id, fleet_id, fix, since, until, principal, reason, correlation_id, consumer)"
            " VALUES (%s, 'demo', '[]', %s, %s, 'someone', 'because', 'c', %s) RETURNING redrive_number",
            [key_of(letters[0]).group_id, self.moment - timedelta(hours=1), now() + timedelta(hours=1), consumer],
        ).fetchone()
        assert row is not None
        return int(row[0])

    @property
    def sender(self) -> Sender:
        functions: Any = self.takers
        files: Any = LetterFiles(Listing(self.s3), "here")  # type: ignore[arg-type]
        nothing: Any = None
        return Sender(
            Takers(functions, "arn", "broker"),
            files,
            nothing,
            samples.rules(),
            per_second=1e9,
            settle=timedelta(0),
            kept=timedelta(days=30),
            clock=lambda: now() + timedelta(hours=1) + self.ahead,
        )

    def run(self, may_go_on: Callable[[], bool] = lambda: True) -> int:
        return run(self.dsn, self.sender, may_go_on)

    def run_until_death(self, statements: int) -> bool:
        return run_until_death(self.dsn, self.sender, statements)

    def look(self, connection: Connection) -> Looking:
        return Looking(self.sender.files, samples.rules(), connection, lambda: True)

    def groups(self) -> list[dict[str, Any]]:
        with closing(connect_as(self.dsn, "redrive")) as connection:
            items: list[dict[str, Any]] = self.look(connection).groups(self.range)["items"]
        return items

    @property
    def range(self) -> dict[str, str]:
        return {"from": (self.moment - timedelta(hours=1)).isoformat(), "to": (now() + timedelta(hours=1)).isoformat()}

    def state(self, number: int) -> tuple[str, str | None]:
        query = "SELECT state, trouble FROM redrive WHERE redrive_number = %s"
        (row,) = self.owner.execute(query, [number]).fetchall()
        return row[0], row[1]


class Listing:
    """The letters of a fake S3, as LetterFiles lists and reads them."""

    def __init__(self, s3: S3) -> None:
        self._s3 = s3

    def list_pages(self, prefix: str, after: str = "") -> Iterator[dict[str, str]]:
        yield {name: "etag" for name in sorted(self._s3.objects) if name.startswith(prefix) and name > after}

    def get(self, name: str) -> bytes:
        return self._s3.objects[name]
