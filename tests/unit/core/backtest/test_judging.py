"""What rules say of histories: rules of learn find planted faults, and the breaches of a minute follow each other."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from bench import planted
from sluice.core.backtest.histories import DeviceHistory, SeriesHistory
from sluice.core.backtest.judging import Judging, SilentDevices
from sluice.core.backtest.opening import open_incidents
from sluice.core.backtest.windows import Windows, minute_of, moment_of
from sluice.core.detect.defaults import SILENCE_METRIC, default_rules_for
from sluice.core.detect.series_rules import RuleKind, SeriesRule
from tests.support.backtests import BOOK, DAY, FLEET, MINUTE, START, backtest, make_history, make_rule

DEFAULTS = {rule.kind: rule for metric in ("made", SILENCE_METRIC) for rule in default_rules_for("made", metric)}


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ("none", []),
        ("spike", ["range"]),
        ("level", ["range", "level"]),
        ("stuck", ["stuck"]),
        ("dropout", ["silence"]),
    ],
)
def test_planted_faults_are_found_when_they_happen(fault: str, found: Sequence[str]) -> None:
    values, since = planted.make_series(0, fault)
    opened = planted.run_rules(values, list(DEFAULTS.values()))
    assert [kind for kind, rule in DEFAULTS.items() if opened[rule.rule_id]] == found
    until = since + planted.LASTS + planted.HOUR
    assert all(since <= at < until for times in opened.values() for at in times)


@pytest.mark.parametrize(("kind", "opens"), [("zscore", 6.0), ("baseline", 6.0)])
def test_deviations_are_measured_from_what_was_usual_then(kind: RuleKind, opens: float) -> None:
    rule = SeriesRule(
        fleet_id="made", rule_id="odd", version=1, metric="made", kind=kind, open=opens, clear=3.0, breaches=2, of=3
    )
    values, since = planted.make_series(1, "spike")
    week = planted.learn_week(values)
    assert any(since <= at < since + 5 * MINUTE for at in planted.run_rule(values, week, rule))
    quiet, _ = planted.make_series(1, "none")
    assert planted.run_rule(quiet, planted.learn_week(quiet), rule) == []


def make_minutes(minutes: Sequence[dict[int, int]]) -> DeviceHistory:
    """Make minutes of readings that are whole degrees."""
    values = [[float(value) for value, many in each.items() for _ in range(many)] for each in minutes]
    windows = Windows(
        range(minute_of(START), minute_of(START) + len(minutes)),
        [len(each) for each in values],
        [sum(each) / len(each) for each in values],
        [0.0] * len(values),
        [min(each) for each in values],
        [max(each) for each in values],
        lambda place: (
            [10 * value for value in sorted(minutes[place])],
            [minutes[place][one] for one in sorted(minutes[place])],
        ),
    )
    return DeviceHistory(FLEET, "device-1", START - 365 * DAY, [SeriesHistory("heat", windows)])


def test_within_a_minute_breaches_come_in_a_row() -> None:
    rule = make_rule(breaches=3, of=3)
    # In the order in which they came they may have been apart: then the rule would not have fired.
    assert len(backtest(rule, [make_minutes([{70: 3, 90: 3}])], START + DAY)) == 1
    assert backtest(rule, [make_minutes([{70: 3, 90: 2}])], START + DAY) == []


def test_breaches_of_two_minutes_are_beside_each_other() -> None:
    rule = make_rule(breaches=4, of=4)
    assert len(backtest(rule, [make_minutes([{70: 3, 90: 2}, {70: 3, 90: 2}])], START + DAY)) == 1
    assert backtest(rule, [make_minutes([{70: 3, 90: 2}, {70: 6}, {70: 3, 90: 2}])], START + DAY) == []


@pytest.mark.parametrize("readings", [60, 120, 600])
@pytest.mark.parametrize(("breaches", "of"), [(3, 5), (5, 5), (10, 10)])
def test_devices_that_send_often_fire_within_a_minute(readings: int, breaches: int, of: int) -> None:
    rule = make_rule(breaches=breaches, of=of)
    calm, step = {70: readings}, {90: readings}
    (raised,) = backtest(rule, [make_minutes([calm] * 60 + [step] + [calm] * 60)], START + DAY)
    assert START + 60 * MINUTE <= raised.incident.opened_at < START + 61 * MINUTE
    # The end of a minute is beside the beginning of the next one, however many readings were left out before it.
    half = {70: readings - of // 2, 90: of // 2}
    assert len(backtest(rule, [make_minutes([calm] * 60 + [half, {**half, 90: of - of // 2}])], START + DAY)) == 1


def test_a_fleet_that_is_asleep_is_not_silent() -> None:
    rule = DEFAULTS["silence"]
    values, since = planted.make_series(0, "dropout")
    week, silent_devices, told = planted.learn_week(values), SilentDevices(), []
    judging = Judging(rule, planted.BOOK, 5, timedelta(days=7))
    first, last = minute_of(planted.START) + 7 * 1440, minute_of(planted.START) + len(values)
    for number in range(10):
        history = planted.make_history(values, week, rule)
        told += judging.judge(
            DeviceHistory("made", f"device-{number}", history.first_seen_at, history.series, sent=history.sent),
            first,
            last,
            silent_devices,
        )
    assert told
    assert open_incidents(told, silent_devices, moment_of(last), silence=True) == []
    few = SilentDevices()
    alone = judging.judge(planted.make_history(values, week, rule), first, last, few)
    (opened,) = open_incidents(alone, few, moment_of(last), silence=True)
    assert since < opened.incident.opened_at < since + planted.LASTS


def test_what_a_rule_cannot_judge_yet_raises_nothing() -> None:
    assert BOOK.series
    rule = make_rule(kind="range", open=0.25, clear=0.1)
    assert backtest(rule, [make_history([50.0] * 100 + [900.0] * 10)], START + DAY) == []
