"""A run of backtest: which backtests it makes, and what becomes of those that fail."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from sluice.core.backtest.histories import DayBaseline, DeviceHistory, SeriesHistory
from sluice.core.backtest.pace import Bounds
from sluice.core.backtest.results import Result
from sluice.core.backtest.windows import Windows, minute_of
from sluice.core.detect.learned import Baseline
from sluice.core.detect.statistics import CELLS
from sluice.core.errors import Retryable
from sluice.edge.backtest import backtesting
from sluice.edge.backtest.backtesting import Backtesting, BacktestReport, Plan
from sluice.edge.backtest.tables import ClaimedBacktest
from tests.support.backtests import BOOK, DAY, MINUTE, START, make_history, make_rule

HOT, COOL = 90.0, 70.0
UNTIL = START + DAY


class PlayedTables:
    """The table of backtests: what is asked, and what was stored."""

    def __init__(self, *rules: str, until: datetime | None = UNTIL) -> None:
        self.asked = [ClaimedBacktest(number, "fleet-1", rule, 1, 1) for number, rule in enumerate(rules, 1)]
        self.until = until
        self.said: list[tuple[Any, ...]] = []
        self.taken_over = False

    def give_up_dead(self, _now: datetime) -> int:
        return 0

    def claim(self, _now: datetime) -> ClaimedBacktest | None:
        return self.asked.pop(0) if self.asked else None

    def find_until(self) -> datetime | None:
        return self.until

    def note_progress(self, asked: ClaimedBacktest, devices: int, rule_devices: int, _now: datetime) -> bool:
        self.said.append(("progress", asked.number, devices, rule_devices))
        return not self.taken_over

    def finish(self, asked: ClaimedBacktest, result: Result, _now: datetime) -> bool:
        self.said.append(("done", asked.number, result.incidents, result.devices, result.cut))
        return True

    def fail(self, asked: ClaimedBacktest, trouble: str, _now: datetime) -> bool:
        self.said.append(("failed", asked.number, trouble))
        return True

    def give_back(self, asked: ClaimedBacktest, trouble: str, _now: datetime) -> bool:
        self.said.append(("given back", asked.number, trouble))
        return True

    def put_off(self, asked: ClaimedBacktest, trouble: str, _now: datetime) -> bool:
        self.said.append(("put off", asked.number, trouble))
        return True

    def measure_wait(self, _now: datetime) -> float:
        return 0.0


class PlayedHistories:
    """What is stored of 20 devices, each with one burst; reading it may fail."""

    fails: Exception | None = None

    def __init__(self, *_: object) -> None:
        pass

    def read(self, devices: Sequence[Any]) -> Iterator[DeviceHistory]:
        if self.fails is not None:
            raise self.fails
        for number in devices:
            yield make_history([COOL] * 30 * number + [HOT] * 3 + [COOL] * 30, f"device-{number}")


def read_silent(_histories: PlayedHistories, devices: Sequence[Any]) -> Iterator[DeviceHistory]:
    """Read devices that all send each minute, and fall silent at the same time."""
    first = minute_of(START) - 1440
    usual = Baseline([60] * CELLS, [0.0] * CELLS, [1.0] * CELLS, 0.0, 1.0, 24, 0.0, 1.0, 1.0, 60.0, 60.0, 2**24 - 1)
    baseline = DayBaseline(START, START - 30 * DAY, usual)
    for number in devices:
        series = [SeriesHistory("heat", Windows(), [baseline])]
        sent = [*range(first, first + 1440 + 300), *range(first + 1440 + 600, first + 2 * 1440)]
        yield DeviceHistory("fleet-1", f"device-{number}", START - 365 * DAY, series, sent=sent)


@pytest.fixture(autouse=True)
def stores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backtesting, "StoredHistories", PlayedHistories)
    monkeypatch.setattr(backtesting, "list_devices", lambda *_: list(range(20)))
    monkeypatch.setattr(PlayedHistories, "fails", None)


def text(**changed: object) -> str:
    return msgspec.json.encode(make_rule(**changed)).decode()


def run(tables: PlayedTables, times: int = 10, **bounds: Any) -> BacktestReport:
    plan = Plan(Bounds(**{"seconds": 60, "windows": 10**9} | bounds), 5 * MINUTE, 7 * DAY, 7 * DAY)
    left = iter([True] * times)
    work = Backtesting(SimpleNamespace(), BOOK, plan, lambda: UNTIL, lambda: 0.0)  # type: ignore[arg-type]
    return work.run(SimpleNamespace(), tables, lambda: next(left, False))  # type: ignore[arg-type]


def test_all_devices_are_read_in_batches_and_the_result_is_stored() -> None:
    tables = PlayedTables(text())
    assert run(tables).done == 1
    assert tables.said == [
        ("progress", 1, 1, 20),
        ("progress", 1, 3, 20),
        ("progress", 1, 7, 20),
        ("progress", 1, 15, 20),
        ("progress", 1, 20, 20),
        ("done", 1, 20, 20, ""),
    ]


def test_a_result_says_when_not_all_devices_were_tested() -> None:
    tables = PlayedTables(text())
    run(tables, windows=3 * 1440)
    assert tables.said[-1][0] == "done"
    assert tables.said[-1][3] < 20
    assert tables.said[-1][4] == "windows"


@pytest.mark.parametrize(
    ("changed", "windows", "incidents", "exact"),
    [
        ({}, 10**9, 0, True),
        ({"device_type": "press"}, 10**9, 20, False),
        ({"device_id": "device-1"}, 10**9, 20, False),
        ({}, 12 * 1440, 0, False),
    ],
)
def test_only_a_rule_for_all_devices_shows_that_a_fleet_is_asleep(
    monkeypatch: pytest.MonkeyPatch, changed: dict[str, str], windows: int, incidents: int, exact: bool
) -> None:
    stored: list[Result] = []

    def keep(_tables: PlayedTables, _asked: ClaimedBacktest, result: Result, _now: datetime) -> bool:
        stored.append(result)
        return True

    monkeypatch.setattr(PlayedTables, "finish", keep)
    monkeypatch.setattr(PlayedHistories, "read", read_silent)
    run(
        PlayedTables(text(kind="silence", metric="", open=3.0, clear=1.0, breaches=1, of=1, **changed)), windows=windows
    )
    assert (sum(each.devices for each in stored[0].first_incidents), stored[0].exact) == (incidents, exact)


def test_a_run_makes_as_many_as_it_has_time_for() -> None:
    tables = PlayedTables(text(), text(), text())
    assert run(tables, times=2).done == 2
    assert [each.number for each in tables.asked] == [3]


@pytest.mark.parametrize(
    ("rule", "until", "said"),
    [
        ('{"kind": "oracle"}', UNTIL, "This release cannot read the rule"),
        (text(metric="moisture"), UNTIL, "This release does not know the series 'moisture'."),
        (text(), None, "Nothing is rolled yet"),
    ],
)
def test_what_no_run_can_test_fails_with_a_sentence_and_the_next_one_is_made(
    rule: str, until: datetime | None, said: str
) -> None:
    tables = PlayedTables(rule, until=until)
    report = run(tables)
    assert (report.failed, report.defect) == (1, None)
    assert tables.said[0][:2] == ("failed", 1)
    assert said in tables.said[0][2]


def test_while_a_store_is_away_a_backtest_is_left_to_a_later_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PlayedHistories, "fails", Retryable("S3 does not answer"))
    tables = PlayedTables(text(), text())
    report = run(tables)
    assert (report.done, report.failed, report.defect) == (0, 0, None)
    assert tables.said == [("put off", 1, "S3 does not answer")]


def test_a_defect_is_reported_and_does_not_keep_others_from_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = PlayedTables(text(), text())
    read = PlayedHistories.read

    def fail_once(*_: object) -> Iterator[DeviceHistory]:
        monkeypatch.setattr(PlayedHistories, "read", read)
        raise ValueError("an array has 47 values")

    monkeypatch.setattr(PlayedHistories, "read", fail_once)
    report = run(tables)
    assert (report.done, repr(report.defect)) == (1, "ValueError('an array has 47 values')")
    assert tables.said[0] == ("given back", 1, "ValueError: an array has 47 values")


def test_a_run_that_lost_its_claim_stores_nothing() -> None:
    tables = PlayedTables(text())
    tables.taken_over = True
    assert run(tables).done == 0
    assert [each[0] for each in tables.said] == ["progress"]
