"""The work of alert: verdicts change series and incidents, and messages are sent about these.

read the verdicts -> one transaction: lock the fleets, load, take in, store with the messages -> send them -> hint to
detect which series are watched; what comes after the transaction may fail: the schedule does it again
"""

import time
from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec
from aws_lambda_powertools import Logger

from sluice.core.alerts.limits import WATCHED
from sluice.core.alerts.messages import StageAddress
from sluice.core.alerts.records import read_verdict
from sluice.core.detect.verdicts import Verdict
from sluice.core.errors import Fault, Retryable
from sluice.core.failures.sorting import Faulty
from sluice.core.metrics import INCIDENTS_OPENED, MESSAGES_WRITTEN, OLDEST_VERDICT, VERDICTS_TAKEN
from sluice.core.records import KafkaRecord, Origin
from sluice.edge.alerts.outbox import Outbox
from sluice.edge.alerts.tables import AlertTables, read_sql
from sluice.edge.alerts.watched import WatchedHints
from sluice.edge.database import ANSWER_SECONDS, Database
from sluice.edge.metrics import record
from sluice.edge.retry import Retry

logger = Logger()

_WATCHED = read_sql("watched")

TELL_SECONDS = 3
"""For so long a batch begins to send messages. A fleet has at most some dozens at once."""


class Alerting(msgspec.Struct, frozen=True):
    """The work of alert."""

    database: Database
    outbox: Outbox
    hints: WatchedHints
    sender: StageAddress
    clock: Callable[[], datetime]
    seconds: Callable[[], float] = time.monotonic

    def read(self, record: KafkaRecord, now: datetime) -> Verdict:
        """Read a verdict."""
        del now
        return read_verdict(record.value)

    def take_in(self, records: Sequence[tuple[Origin, Verdict]], retry: Retry) -> set[Origin]:
        """Take verdicts in, all of them or none; then send messages and hints."""
        verdicts = [verdict for _, verdict in records]
        retry.run(lambda: self._store(verdicts))
        record(VERDICTS_TAKEN, len(verdicts))
        received = [verdict.received_at for verdict in verdicts]
        record(OLDEST_VERDICT, max(0.0, (self.clock() - min(received)).total_seconds()))
        self._tell(verdicts)
        return set()

    def ask(self) -> None:
        """Raise Retryable while the database is down."""
        with self.database.use(ANSWER_SECONDS) as connection:
            connection.execute("SELECT 1")

    def has_done(self, record: KafkaRecord, fault: Fault, now: datetime) -> bool:
        """Return False: no ledger counts verdicts."""
        del record, fault, now
        return False

    def cover(self, records: Sequence[Faulty], now: datetime) -> None:
        """Leave the records alone: a series remembers how far it is, and no ledger counts verdicts."""

    def _store(self, verdicts: Sequence[Verdict]) -> None:
        now = self.clock()
        with self.database.use() as connection, connection.transaction():
            tables = AlertTables(connection)
            tables.lock_fleets(verdict.fleet_id for verdict in verdicts)
            board = tables.load_for(verdicts, now, self.sender)
            known = set(board.incidents)
            for verdict in verdicts:
                board.take(verdict)
            board.settle()
            tables.keep(board, now)
        opened = board.incidents.keys() - known
        for one in (board.incidents[each] for each in sorted(opened)):
            logger.info(
                "an incident is opened",
                correlation_id=one.correlation_id,
                incident_id=one.incident_id,
                fleet=one.fleet_id,
                rule=one.rule_id,
            )
        record(INCIDENTS_OPENED, len(opened))
        record(MESSAGES_WRITTEN, len(board.messages))

    def _tell(self, verdicts: Sequence[Verdict]) -> None:
        """Send messages and hints; both are committed, and sent by the schedule if this fails."""
        # If much waits from before, or SNS is slow, the schedule does the rest.
        end = self.seconds() + TELL_SECONDS
        try:
            self.outbox.send(lambda: self.seconds() < end)
            if self.seconds() >= end:
                return
            devices = sorted({(each.fleet_id, each.device_id) for each in verdicts})
            with self.database.use(ANSWER_SECONDS) as connection:
                rows = connection.execute(
                    _WATCHED,
                    {
                        "since": self.clock() - WATCHED,
                        "fleets": [fleet_id for fleet_id, _ in devices],
                        "devices": [device_id for _, device_id in devices],
                    },
                ).fetchall()
            self.hints.add(rows)
        except Retryable as error:
            logger.warning("what is committed is sent by the next run of the schedule", reason=str(error))
        except Exception:
            # The verdicts are taken in. They must not be tried again, nor blamed, for messages and hints.
            logger.exception("what is committed is left to the schedule")
