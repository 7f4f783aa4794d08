"""A run of backtest: the backtests that wait, one after the other, as long as time is left.

claim one -> read its devices in batches, and judge each -> open their incidents -> store the result

A batch is as large as the ones before show that time allows. A backtest that fails is tried again by a later run.
"""

import time
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec
from aws_lambda_powertools import Logger

from sluice.core.backtest.judging import Judging, MinuteVerdicts, SilentDevices
from sluice.core.backtest.opening import open_incidents
from sluice.core.backtest.pace import MOST_MINUTES_HELD, Bounds, Pace
from sluice.core.backtest.results import Extent, Result, list_first_incidents
from sluice.core.backtest.windows import minute_of
from sluice.core.detect.defaults import SILENCE_METRIC
from sluice.core.detect.series_rules import OF_READINGS, SeriesRule
from sluice.core.errors import Retryable
from sluice.core.events.units import SeriesBook
from sluice.edge.backtest.devices import list_devices
from sluice.edge.backtest.reading import StoredHistories
from sluice.edge.backtest.tables import BacktestTables, ClaimedBacktest
from sluice.edge.database import Connection, named_errors
from sluice.edge.rollup_archive.recalling import Recaller

logger = Logger()


class UntestableError(Exception):
    """A backtest that no run can make; the text says why."""


class Plan(msgspec.Struct, frozen=True):
    """How much a backtest may do, and how learn works."""

    bounds: Bounds
    every: timedelta
    learning: timedelta
    learned_from: timedelta


class BacktestReport(msgspec.Struct):
    """The result of a run."""

    done: int = 0
    failed: int = 0
    windows: int = 0
    wait_seconds: float = 0.0
    defect: Exception | None = None
    """The first error that no later run mends by itself; the run fails with it at its end."""


class Backtesting(msgspec.Struct, frozen=True):
    """What backtest uses, but for its database."""

    recaller: Recaller
    book: SeriesBook
    plan: Plan
    clock: Callable[[], datetime]
    seconds: Callable[[], float] = time.monotonic

    def run(self, connection: Connection, tables: BacktestTables, has_time: Callable[[], bool]) -> BacktestReport:
        """Make the backtests that wait, while time is left for another one."""
        report = BacktestReport()
        report.failed += tables.give_up_dead(self.clock())
        while has_time():
            claimed = tables.claim(self.clock())
            if claimed is None:
                break
            try:
                with named_errors():
                    self._make(connection, tables, claimed, report)
            except UntestableError as error:
                report.failed += tables.fail(claimed, str(error), self.clock())
            except Retryable as error:
                logger.warning("a backtest is left to a later run", backtest=claimed.number, reason=str(error))
                tables.put_off(claimed, str(error), self.clock())
                break
            except Exception as error:
                logger.exception("a backtest fails by a defect", backtest=claimed.number)
                report.defect = report.defect or error
                tables.give_back(claimed, f"{type(error).__name__}: {error}", self.clock())
        report.wait_seconds = tables.measure_wait(self.clock())
        return report

    def _make(
        self, connection: Connection, tables: BacktestTables, claimed: ClaimedBacktest, report: BacktestReport
    ) -> None:
        rule = self._read_rule(claimed)
        result = self._test(connection, tables, claimed, rule)
        if result is not None and tables.finish(claimed, result, self.clock()):
            report.done += 1
            report.windows += result.windows

    def _read_rule(self, claimed: ClaimedBacktest) -> SeriesRule:
        try:
            rule = claimed.read_rule()
        except msgspec.DecodeError as error:
            raise UntestableError(f"This release cannot read the rule: {error}.") from error
        if rule.metric != SILENCE_METRIC and rule.metric not in self.book.series:
            raise UntestableError(f"This release does not know the series {rule.metric!r}.")
        return rule

    def _test(
        self, connection: Connection, tables: BacktestTables, claimed: ClaimedBacktest, rule: SeriesRule
    ) -> Result | None:
        """Test a rule; None if another run has taken the backtest over."""
        until = tables.find_until()
        if until is None:
            raise UntestableError("Nothing is rolled yet: there are no minutes to test the rule on.")
        since = until - timedelta(days=claimed.days)
        first, last = minute_of(since), minute_of(until)
        stored = StoredHistories(connection, self.recaller, rule, since, until, self.plan.learned_from)
        judging = Judging(rule, self.book, self.plan.every // timedelta(minutes=1), self.plan.learning)
        devices = list_devices(connection, rule)
        tested, silent_devices, held = (
            Extent(first, last, by_reading=rule.kind in OF_READINGS),
            SilentDevices(),
            list[MinuteVerdicts](),
        )
        pace = Pace(self.plan.bounds, claimed.days, self.seconds)
        while tested.devices < len(devices) and (size := pace.next_batch(tested.windows, len(held))):
            for history in stored.read(devices[tested.devices : tested.devices + size]):
                if len(held) > MOST_MINUTES_HELD:
                    break
                held += judging.judge(history, first, last, silent_devices)
                tested.add(history)
            if not tables.note_progress(claimed, tested.devices, len(devices), self.clock()):
                return None
        cut = pace.cut if tested.devices < len(devices) else ""
        silence, of_fleet = rule.kind == "silence", rule.device_id is None and rule.device_type is None
        # Devices of a type may all be silent in a fleet that is awake: only a rule for all shows that it is asleep.
        opened = open_incidents(held, silent_devices, until, silence=silence and of_fleet)
        return Result(
            since=since,
            until=until,
            devices=tested.devices,
            rule_devices=len(devices),
            device_days=tested.device_days,
            windows=tested.windows,
            incidents=len(opened),
            exact=tested.exact and (not silence or (of_fleet and not cut)),
            cut=cut,
            first_incidents=list_first_incidents(opened),
        )
