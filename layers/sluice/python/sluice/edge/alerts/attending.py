"""What time alone asks for, every minute.

send what waits -> for each fleet: give up silent devices, write the messages that are due -> send them -> renew
the hints
"""

from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec
from aws_lambda_powertools import Logger

from sluice.core.alerts.limits import UNHEARD, WATCHED
from sluice.core.alerts.messages import StageAddress
from sluice.core.alerts.steps import Step
from sluice.core.errors import Retryable
from sluice.core.metrics import INCIDENTS_HELD, INCIDENTS_OPEN, MESSAGE_AGE, MESSAGES_WRITTEN
from sluice.edge.alerts.outbox import Outbox
from sluice.edge.alerts.tables import AlertTables, read_sql
from sluice.edge.alerts.watched import WatchedHints
from sluice.edge.database import Database, find_value
from sluice.edge.metrics import record

logger = Logger()

_WATCHED = read_sql("watched")
_WAIT_FOR_LOCKS = "SET LOCAL lock_timeout = '3s'"
_OPEN = "SELECT count(*), count(*) FILTER (WHERE held = 'storm') FROM incident WHERE state = 'open'"
# A message that SNS refused raises the alarm for an hour: someone should look, and later ones must be seen too.
_WAITING = """
    SELECT coalesce(extract(epoch FROM %(now)s - min(written_at)), 0)::float FROM alert_message
    WHERE sent_at IS NULL AND (refused_at IS NULL OR refused_at > %(now)s - interval '1 hour')
"""


class Attending(msgspec.Struct, frozen=True):
    """One run."""

    database: Database
    outbox: Outbox
    hints: WatchedHints
    sender: StageAddress
    steps: Sequence[Step]
    """After how many minutes without acknowledgement someone wants a message."""
    may_go_on: Callable[[], bool]

    def run(self, now: datetime) -> None:
        """Do what is due. A step or a fleet that fails does not stop the others; a defect is raised after them."""
        defects: list[Exception] = []
        for step in (self._send, self._attend, self._send, self._renew, self._measure):
            try:
                step(now)
            except Retryable as error:
                logger.warning("a step is left to the next run", step=step.__name__, reason=str(error))
            except Exception as error:
                logger.exception("a step fails by a defect", step=step.__name__)
                defects.append(error)
        if defects:
            raise defects[0]

    def _send(self, now: datetime) -> None:
        del now
        self.outbox.send(self.may_go_on)

    def _attend(self, now: datetime) -> None:
        with self.database.use() as connection:
            fleets = AlertTables(connection).list_active()
        # Each run begins at another fleet: one that takes all the time does not always leave out the same ones.
        begin = int(now.timestamp()) // 60 % max(len(fleets), 1)
        defects: list[Exception] = []
        for done, fleet_id in enumerate([*fleets[begin:], *fleets[:begin]]):
            if not self.may_go_on():
                logger.warning("fleets are left to the next run for lack of time", fleets=len(fleets) - done)
                break
            try:
                self._attend_to(fleet_id, now)
            except Retryable as error:
                logger.warning("a fleet is left to the next run", fleet_id=fleet_id, reason=str(error))
            except Exception as error:
                logger.exception("a fleet fails by a defect", fleet_id=fleet_id)
                defects.append(error)
        if defects:
            raise defects[0]

    def _attend_to(self, fleet_id: str, now: datetime) -> None:
        with self.database.use() as connection, connection.transaction():
            tables = AlertTables(connection)
            # It waits in line behind alert: a lock that it only tried would never be free while much happens.
            connection.execute(_WAIT_FOR_LOCKS)
            tables.lock_fleets([fleet_id])
            board = tables.load_fleet(fleet_id, now, self.sender, self.steps)
            for member in tables.find_unheard(fleet_id, now - UNHEARD):
                board.lose(member)
            board.settle()
            tables.keep(board, now)
        record(MESSAGES_WRITTEN, len(board.messages))

    def _renew(self, now: datetime) -> None:
        with self.database.use() as connection:
            given = {"since": now - WATCHED, "fleets": None, "devices": None}
            rows = connection.execute(_WATCHED, given).fetchall()
        self.hints.replace(rows)

    def _measure(self, now: datetime) -> None:
        with self.database.use() as connection:
            row = connection.execute(_OPEN).fetchone()
            waiting = find_value(connection, _WAITING, {"now": now})
        opened, held = row or (0, 0)
        record(INCIDENTS_OPEN, opened)
        record(INCIDENTS_HELD, held)
        record(MESSAGE_AGE, max(0.0, waiting))
