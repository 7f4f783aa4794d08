"""What tier takes from its settings and its clock, and what it does during outages."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import msgspec
import psycopg
import pytest

from functions.tier import handler
from sluice.edge.aws import RefusedError
from sluice.edge.metrics import metrics
from sluice.edge.rollup_archive.tiering import Plan, TierReport
from sluice.edge.settings import TierSettings

if TYPE_CHECKING:
    from sluice.edge.rollup_archive.database import TierDatabase

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SETTINGS = TierSettings(
    rollup_bucket="rollups",
    minute_days=2,
    hour_days=90,
    rollup_days=730,
    tier_slice_windows=60,
    tier_reserve_seconds=400,
    tier_statement_seconds=400,
)
ENVIRONMENT = {name.upper(): str(value) for name, value in msgspec.structs.asdict(SETTINGS).items()} | {
    "DATABASE_HOST": "nowhere",
    "DATABASE_PORT": "1",
    "DATABASE_NAME": "sluice",
    "DATABASE_USER": "sluice_tier",
    "DATABASE_AUTH": "none",
    "AWS_REGION": "us-east-1",
}


class Clock:
    """Says how much time is left."""

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds

    def get_remaining_time_in_millis(self) -> int:
        return self._seconds * 1000


class Database:
    """Grants the lock, or not."""

    def __init__(self, *, free: bool) -> None:
        self._free = free

    def lock(self) -> bool:
        return self._free


class Run:
    """Records its arguments, in place of the real one."""

    def __init__(self, report: TierReport | None = None) -> None:
        self._report = report or TierReport()
        self.plan: Plan | None = None
        self.may_go_on: bool | None = None

    def __call__(self, _database: object, _files: object, plan: Plan) -> "Run":
        self.plan = plan
        return self

    def run(self, now: datetime, may_go_on: Callable[[], bool]) -> TierReport:
        assert now == NOW
        self.may_go_on = may_go_on()
        return self._report


class Lent:
    """A database whose connection is unusable."""

    def __init__(self, _connect: Any, seconds: float) -> None:
        assert seconds == 898

    def use(self) -> Any:
        return nullcontext()

    def close(self) -> None:
        pass


def tier(run: Run, monkeypatch: pytest.MonkeyPatch, *, free: bool = True, seconds: int = 900) -> dict[str, Any]:
    monkeypatch.setattr(handler, "Tiering", run)
    monkeypatch.setattr("boto3.client", lambda *_service, **_settings: None)
    done = handler.tier(cast("TierDatabase", Database(free=free)), SETTINGS, NOW, Clock(seconds))
    metrics.clear_metrics()
    return done


def test_days_and_windows_are_taken_from_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run()
    tier(run, monkeypatch)
    assert run.plan == Plan(
        hot={"1m": timedelta(days=2), "1h": timedelta(days=90)}, kept=timedelta(days=730), slice_windows=60
    )


@pytest.mark.parametrize(("seconds", "may_go_on"), [(401, True), (400, False), (0, False)])
def test_a_slice_is_begun_only_when_there_is_time_for_it(
    seconds: int, may_go_on: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run()
    tier(run, monkeypatch, seconds=seconds)
    assert run.may_go_on is may_go_on


def test_a_second_run_at_a_time_leaves_the_first_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run()
    assert tier(run, monkeypatch, free=False) == {}
    assert run.plan is None


@pytest.mark.parametrize(("behind", "told"), [(timedelta(hours=5), 18_000.0), (timedelta(days=-1), 0.0)])
def test_how_far_behind_the_work_is_is_reported(
    behind: timedelta, told: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = TierReport(rows=7, partitions=1, behind=behind, waits_for={"1m": "not every window is closed"})
    assert tier(Run(report), monkeypatch) == {
        "RollupsMoved": 7,
        "PartitionsDropped": 1,
        "TierBehind": told,
        "waits_for": {"1m": "not every window is closed"},
    }


@pytest.mark.filterwarnings("ignore:No application metrics")
def test_a_database_that_is_away_is_left_to_the_next_run_and_a_defect_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)

    def connect(*_arguments: object) -> AbstractContextManager[None]:
        raise psycopg.OperationalError("away")

    monkeypatch.setattr(handler, "connect", connect)
    assert handler.handler(None, Clock(900)) == {}

    monkeypatch.setattr(handler, "Database", Lent)
    for defect in (RuntimeError("a defect"), RefusedError("AccessDenied")):

        def fail(*_arguments: object, defect: Exception = defect) -> dict[str, Any]:
            raise defect

        monkeypatch.setattr(handler, "tier", fail)
        with pytest.raises(type(defect)):
            handler.handler(None, Clock(900))
