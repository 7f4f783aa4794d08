"""What maintain does in which order, with the database replaced."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from functions.maintain.handler import maintain
from sluice.edge.metrics import metrics
from sluice.edge.settings import MaintainSettings

if TYPE_CHECKING:
    from sluice.edge.rollups.maintenance import Maintenance

NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
FLOOR = datetime(2026, 11, 19, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)
SETTINGS = MaintainSettings(
    partitions_ahead_hours=48,
    sample_hours=26,
    waiting_sample_hours=72,
    change_hours=72,
    outcome_days=90,
    sighting_days=100,
    summary_days=730,
    statement_seconds=60,
    lock_seconds=2,
)


@dataclass
class Tables:
    """A database that records the calls to it."""

    waiting: datetime | None = None
    floor: datetime | None = None
    overdue: int = 0
    diary: list[Any] = field(default_factory=list)

    def ensure_partitions(self, first: datetime, last: datetime) -> int:
        self.diary.append(("ensure", first, last))
        return 3

    def raise_floor(self, place: Callable[[datetime | None], datetime]) -> datetime:
        floor = place(self.waiting)
        self.diary.append(("raise", floor))
        return self.floor or floor

    def drop_samples(self) -> int:
        self.diary.append("drop")
        return 1

    def count_overdue(self) -> int:
        return self.overdue

    def fold(self, table: str) -> int:
        self.diary.append(("fold", table))
        return 10

    def forget(self, table: str, _column: str, before: datetime) -> int:
        self.diary.append(("forget", table, before))
        return 100

    def forget_backtests(self, before: datetime) -> int:
        self.diary.append(("forget", "backtest", before))
        return 5

    def maintain(self) -> dict[str, Any]:
        return maintain(cast("Maintenance", self), SETTINGS, NOW)


def test_partitions_come_first_and_the_floor_before_the_drop() -> None:
    tables = Tables()
    tables.maintain()
    assert tables.diary[:3] == [("ensure", NOW - 26 * HOUR, NOW + 48 * HOUR), ("raise", FLOOR), "drop"]


def test_rows_are_forgotten_when_their_term_is_over() -> None:
    tables = Tables()
    tables.maintain()
    assert {entry[1:] for entry in tables.diary if entry[0] == "forget"} == {
        ("change", NOW - 72 * HOUR),
        ("settled_event", FLOOR),
        ("outcome", NOW - timedelta(days=90)),
        ("dead_lettered_record", NOW - timedelta(days=90)),
        ("counted_back", NOW - timedelta(days=90)),
        ("unknown_field", NOW - timedelta(days=90)),
        ("counted_object", NOW - timedelta(days=90)),
        ("late_object", NOW - timedelta(days=90)),
        ("counted_letter", NOW - 72 * HOUR),
        ("sighting", NOW - timedelta(days=100)),
        ("incident", NOW - timedelta(days=90)),
        ("series_state", NOW - timedelta(days=90)),
        ("silence", NOW - timedelta(days=90)),
        ("delivery", NOW - timedelta(days=90)),
        ("backtest", NOW - timedelta(days=90)),
        ("rollup_1d", NOW - timedelta(days=730)),
    }


def test_an_id_is_forgotten_no_earlier_than_the_samples_that_may_still_carry_it() -> None:
    tables = Tables(waiting=NOW - 60 * HOUR)
    tables.maintain()
    assert ("forget", "settled_event", (NOW - 60 * HOUR).replace(minute=0)) in tables.diary


def test_what_was_done_is_counted_and_what_alarms_look_at_always_is() -> None:
    tables = Tables(overdue=4)
    assert tables.maintain() == {
        "PartitionsMade": 3,
        "PartitionsDropped": 1,
        "PartitionsOverdue": 4,
        "CountsFolded": 20,
        "RowsForgotten": 1505,
    }
    counted = {name: one["Value"] for name, one in metrics.metric_set.items()}
    assert counted["PartitionsOverdue"] == [4.0]
    assert counted["SampleAge"] == [(NOW - FLOOR).total_seconds()]


def test_a_database_that_is_away_fails_the_run_and_the_next_one_does_its_work() -> None:
    class Away(Tables):
        def raise_floor(self, place: Callable[[datetime | None], datetime]) -> datetime:
            raise ConnectionError(place)

    tables = Away()
    with pytest.raises(ConnectionError):
        tables.maintain()
    assert [entry[0] for entry in tables.diary] == ["ensure"]
