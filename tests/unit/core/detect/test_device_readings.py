"""Which verdicts the readings of a device give: one for each rule that has something to say, always the same."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sluice.core.detect.device_readings import MOST_VERDICTS, Known, find_breached, judge_device
from sluice.core.detect.readings import Readings, first_of_each
from sluice.core.detect.series_rules import SeriesRule
from sluice.core.detect.statistics import VERSION, DeviceStatistics, SeriesStatistics, Usual
from sluice.core.detect.verdicts import MOST_READINGS, Verdict
from sluice.core.records import Origin
from tests.support import samples

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
STALE = timedelta(minutes=30)
STATISTICS = DeviceStatistics(
    VERSION,
    (NOON - timedelta(minutes=5)).timestamp(),
    int(NOON.timestamp()) // 3600,
    {"cpu_temp": SeriesStatistics(Usual(50.0, 1.0, 360), 10.0, 45.0, 55.0)},
)


def rule(kind: Any = "above", opens: float = 80, clears: float = 75, name: str = "hot") -> SeriesRule:
    return SeriesRule(
        fleet_id="demo", rule_id=name, version=3, metric="cpu_temp", kind=kind, open=opens, clear=clears, of=5
    )


def events(*values: float, first: int = 100) -> list[Readings]:
    return [
        Readings(
            origin=Origin("raw-events", 4, first + number),
            fleet_id="demo",
            device_id="press-1",
            event_id=f"event-{first + number}",
            at=NOON + number * SECOND,
            received_at=NOON + (number + 1) * SECOND,
            firmware="2.4.1",
            correlation_id=f"c-{number}",
            metrics={"cpu_temp": value, "humidity": 40.0},
        )
        for number, value in enumerate(values)
    ]


def judge(
    readings: Sequence[Readings], *rules: SeriesRule, known: Known | None = None, stale: timedelta = STALE
) -> list[Verdict]:
    def rules_of(fleet_id: str, device_type: str | None, device_id: str, metric: str) -> Sequence[SeriesRule]:
        assert (fleet_id, device_type, device_id) == ("demo", (known or Known(STATISTICS)).device_type, "press-1")
        return [each for each in rules if each.metric == metric]

    return list(judge_device(readings, rules_of, known or Known(STATISTICS), samples.contracts().book, stale))


def offsets(verdicts: Sequence[Verdict]) -> list[list[int]]:
    return [[one.position for one in verdict.readings] for verdict in verdicts]


def test_a_batch_in_which_all_is_usual_gives_no_verdict() -> None:
    assert judge(events(50, 60, 70), rule(), rule("zscore", 30, 20, "z")) == []


def test_a_verdict_has_all_readings_of_the_batch_and_what_they_were_compared_with() -> None:
    (verdict,) = judge(events(50, 81, 78), rule())
    assert [(one.position, one.value, one.state, one.away) for one in verdict.readings] == [
        (100, 50, "clear", None),
        (101, 81, "breach", None),
        (102, 78, "between", None),
    ]
    assert (verdict.rule_id, verdict.rule_version, verdict.unit, verdict.of) == ("hot", 3, "degC", 5)
    assert (verdict.partition, verdict.received_at) == (4, NOON + 3 * SECOND)
    # Of the breach, so that its trace is found.
    assert [one.correlation_id for one in verdict.readings] == ["", "c-1", ""]
    assert (verdict.correlation_id, verdict.readings[1].why) == ("c-1", "81 degC is above the threshold of 80 degC")
    assert verdict.statistics is not None
    assert (verdict.statistics.mean, verdict.statistics.stale) == (50.0, False)
    assert (verdict.interval_seconds, verdict.firmware) == (10.0, "2.4.1")
    assert find_breached([verdict]) == 1


def test_each_rule_gives_its_own_verdict() -> None:
    found = judge(events(90), rule(), rule("zscore", 3, 2, "z"), rule("range", 0.25, 0.1, "r"))
    assert [(one.rule_id, one.readings[0].away) for one in found] == [("hot", None), ("z", 40.0), ("r", 3.5)]


def test_a_watched_series_has_verdicts_on_clear_readings_too() -> None:
    known = Known(STATISTICS, frozenset({"hot"}))
    (verdict,) = judge(events(50, 51), rule(), rule("zscore", 30, 20, "z"), known=known)
    assert (verdict.rule_id, [(one.state, one.why) for one in verdict.readings]) == ("hot", [("clear", "")] * 2)
    assert find_breached([verdict]) == 0


def test_without_statistics_thresholds_judge_and_say_that_nothing_was_compared() -> None:
    (verdict,) = judge(events(90), rule(), rule("zscore", 3, 2, "z"), known=Known())
    assert (verdict.rule_id, verdict.statistics, verdict.interval_seconds) == ("hot", None, None)


def test_stale_statistics_are_used_and_said_to_be_stale() -> None:
    (verdict,) = judge(events(90), rule("zscore", 3, 2, "z"), stale=timedelta(minutes=4))
    assert verdict.statistics is not None
    assert verdict.statistics.stale


def test_a_batch_that_is_delivered_again_gives_the_same_verdicts() -> None:
    readings, rules = events(50, 81, 78), [rule(), rule("zscore", 3, 2, "z")]
    assert judge(readings, *rules) == judge(readings, *rules)


def test_of_many_readings_those_around_breaches_have_verdicts_in_parts() -> None:
    many = [50.0] * (10 * MOST_READINGS)
    many[3 * MOST_READINGS + 2] = 90.0
    found = judge(events(*many), rule())
    # The part with the breach, the one after it, and the newest.
    assert [part[0] - 100 for part in offsets(found)] == [part * MOST_READINGS for part in (3, 4, 9)]
    assert all(len(part) == MOST_READINGS for part in offsets(found))
    watched = judge(events(*[50.0] * 100), rule(), known=Known(STATISTICS, frozenset({"hot"})))
    assert [part[0] - 100 for part in offsets(watched)] == [0, 96]


def test_the_verdicts_of_one_series_are_bounded_in_number() -> None:
    found = judge(events(*[90.0] * 100 * MOST_READINGS), rule())
    assert len(found) == MOST_VERDICTS
    assert found[-1].readings[-1].position == 100 + 100 * MOST_READINGS - 1


def test_an_event_that_was_sent_twice_is_judged_once() -> None:
    twice = [*events(90), *events(91, first=100), *events(92, first=101)]
    assert [one.metrics["cpu_temp"] for one in first_of_each(twice)] == [90, 92]
    assert first_of_each(events(1, 2)) == events(1, 2)
