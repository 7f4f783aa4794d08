"""Alert on a real database: verdicts through its work, and what reaches SNS and Valkey."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psycopg

from sluice.core.alerts.steps import Step
from sluice.core.detect.verdicts import Verdict
from sluice.core.records import Origin
from sluice.edge.alerts.alerting import Alerting
from sluice.edge.alerts.attending import Attending
from sluice.edge.alerts.outbox import Outbox
from sluice.edge.alerts.topics import AlertTopics
from sluice.edge.alerts.watched import WatchedDevice, WatchedHints
from sluice.edge.cache import Cache, CacheAwayError
from sluice.edge.database import Database
from sluice.edge.retry import Retry
from tests.database.replaying import connect_as
from tests.support.alerts import SENDER, START
from tests.support.topics import IN_ORDER, TOPIC, PlayedSns


class PlayedHints(WatchedHints):
    """Keeps what is watched."""

    def __init__(self) -> None:
        super().__init__(Cache(lambda: None))  # type: ignore[arg-type,return-value]  # nothing asks it
        self.watched: dict[tuple[str, str], list[str]] = {}
        self.away = False

    def add(self, devices: Any) -> None:
        """Add devices."""
        if self.away:
            raise CacheAwayError
        self.watched |= {(fleet_id, device_id): rules for fleet_id, device_id, rules in devices}

    def replace(self, devices: Sequence[WatchedDevice]) -> None:  # type: ignore[override]  # rows of the database
        """Replace all."""
        self.watched = {}
        self.add(devices)


class Alert:
    """One process of alert, and one of attend."""

    def __init__(self, dsn: str, sns: PlayedSns | None = None) -> None:
        self.now = START
        self.sns = sns or PlayedSns()
        self.hints = PlayedHints()
        self.database = Database(lambda: connect_as(dsn, "alert"), 60)
        self.attending = Database(lambda: connect_as(dsn, "attend"), 60)
        topics = AlertTopics(self.sns, IN_ORDER, TOPIC)
        self.outbox = Outbox(self.database, topics)
        self.work = Alerting(self.database, self.outbox, self.hints, SENDER, lambda: self.now)
        self._topics = topics

    def take(self, *verdicts: Verdict, now: datetime | None = None) -> None:
        """Take a batch in."""
        times = [one.at for each in verdicts for one in each.readings]
        self.now = now or max(times, default=self.now)
        records = [(Origin("alert-events", 0, number), each) for number, each in enumerate(verdicts)]
        assert self.work.take_in(records, Retry(0)) == set()

    def attend(self, now: datetime, *minutes: int) -> None:
        """Run the schedule once."""
        outbox = Outbox(self.attending, self._topics)
        steps = [Step(after_minutes=each) for each in minutes]
        Attending(self.attending, outbox, self.hints, SENDER, steps, lambda: True).run(now)

    def close(self) -> None:
        """Close the connections."""
        self.database.close()
        self.attending.close()


def rows(dsn: str, query: str) -> list[tuple[Any, ...]]:
    """Ask as the owner."""
    with psycopg.connect(dsn) as connection:
        return connection.execute(query).fetchall()
