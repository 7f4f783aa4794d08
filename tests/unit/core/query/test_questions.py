from datetime import timedelta

import pytest

from sluice.core.errors import Refusal
from sluice.core.query.questions import (
    MOST_DEVICE,
    ChangePlace,
    Changes,
    Devices,
    ask_nothing,
    name_group,
    read_changes,
    read_counters,
    read_devices,
    read_recent,
    read_rollups,
)
from tests.support.samples import NOW

KEPT = timedelta(hours=71)


def code_of(refusal: pytest.ExceptionInfo[Refusal]) -> tuple[int, str, str | None]:
    return refusal.value.status, refusal.value.code, refusal.value.parameter


@pytest.mark.parametrize(
    ("query", "code", "parameter"),
    [
        ("device=a&group=b", "conflicting_parameters", "group"),
        ("from=2026-11-20T10:00:00Z&to=2026-11-20T10:00:00Z", "invalid_parameter", "from"),
        ("from=2026-11-20T10:00:00Z&to=2026-11-20T09:00:00Z", "invalid_parameter", "from"),
        ("from=2020-01-01T00:00:00Z", "invalid_parameter", "from"),
        ("to=now", "invalid_parameter", "to"),
        ("resolution=5m", "invalid_parameter", "resolution"),
        ("resolution=1M", "invalid_parameter", "resolution"),
        ("limit=0", "invalid_parameter", "limit"),
        ("limit=1501", "invalid_parameter", "limit"),
        ("cursor=x", "invalid_cursor", "cursor"),
        ("cursor=" + "x" * 1025, "invalid_parameter", "cursor"),
        ("device=" + "x" * 129, "invalid_parameter", "device"),
        ("metric=" + "x" * 65, "invalid_parameter", "metric"),
        ("&".join(f"metric=m{number}" for number in range(21)), "invalid_parameter", "metric"),
        ("offset=10", "unknown_parameter", "offset"),
    ],
)
def test_a_question_about_a_range_that_cannot_be_is_refused(query: str, code: str, parameter: str) -> None:
    with pytest.raises(Refusal) as refusal:
        read_rollups("demo", query, NOW)
    assert code_of(refusal) == (400, code, parameter)


def test_a_range_ends_now_and_is_an_hour_long_unless_something_else_is_said() -> None:
    asked = read_rollups("demo", "", NOW)
    assert (asked.start, asked.end, asked.resolution) == (NOW - timedelta(hours=1), NOW, None)
    span = asked.spanned("1m")
    assert (span.end - span.start, span.start % 60, span.next) == (61 * 60, 0, span.start)


def test_a_cursor_carries_range_and_resolution_and_belongs_to_the_same_subject_and_metrics() -> None:
    asked = read_rollups("demo", "device=press-1&metric=b&metric=a", NOW)
    span = asked.spanned("1h")
    assert asked.goes_on(span, NOW.replace(hour=23, minute=0)) is None
    cursor = asked.goes_on(span, NOW.replace(minute=0, second=0, microsecond=0))
    again = read_rollups("demo", f"device=press-1&metric=a&metric=b&cursor={cursor}&limit=3", NOW + KEPT)
    assert again.span is not None
    assert (again.span.resolution, again.span.start, again.span.end) == ("1h", span.start, span.end)
    for other in ("device=press-2&metric=a&metric=b", "device=press-1&metric=a", "metric=a&metric=b", "group=press-1"):
        with pytest.raises(Refusal) as refusal:
            read_rollups("demo", f"{other}&cursor={cursor}", NOW)
        assert refusal.value.code == "invalid_cursor"
    with pytest.raises(Refusal):
        read_rollups("other", f"device=press-1&metric=a&metric=b&cursor={cursor}", NOW)


def test_recent_samples_are_a_devices_or_a_groups() -> None:
    assert read_recent("demo", "device=a%2Cb").subject.device_id == "a,b"
    for query, code in (("", "missing_parameter"), ("device=a&group=b", "conflicting_parameters")):
        with pytest.raises(Refusal) as refusal:
            read_recent("demo", query)
        assert refusal.value.code == code


@pytest.mark.parametrize("name", ["", "..", ".", "-x", "a/b", "a b", "a%2Fb", "ü", "x" * 65, "a\n"])
def test_a_name_that_no_group_can_have_is_of_no_group(name: str) -> None:
    with pytest.raises(Refusal) as refusal:
        name_group(name)
    assert code_of(refusal) == (404, "group_unknown", None)


def test_a_route_without_parameters_takes_none() -> None:
    ask_nothing("")
    with pytest.raises(Refusal) as refusal:
        ask_nothing("a=1")
    assert code_of(refusal) == (400, "unknown_parameter", "a")


def test_minutes_and_pages_are_bounded() -> None:
    assert (read_counters(""), read_counters("minutes=60")) == (5, 60)
    for ask in (lambda: read_counters("minutes=61"), lambda: read_devices("demo", "limit=1001")):
        with pytest.raises(Refusal):
            ask()


def test_a_page_of_devices_continues_behind_the_last_one() -> None:
    cursor = Devices("demo", 1, "").goes_on("press-1")
    assert read_devices("demo", f"cursor={cursor}").after == "press-1"
    with pytest.raises(Refusal):
        read_devices("other", f"cursor={cursor}")
    longest = "\U0001f600" * MOST_DEVICE
    assert read_devices("demo", f"cursor={Devices('demo', 1, '').goes_on(longest)}").after == longest


def test_a_place_in_the_feed_is_good_for_as_long_as_changes_are_kept() -> None:
    cursor = Changes("demo", 1, None).goes_on(ChangePlace(7, 8, int(NOW.timestamp())))
    late = NOW.replace(microsecond=0) + KEPT
    assert read_changes("demo", f"cursor={cursor}", late, KEPT).after == ChangePlace(7, 8, int(NOW.timestamp()))
    with pytest.raises(Refusal) as refusal:
        read_changes("demo", f"cursor={cursor}", late + timedelta(seconds=1), KEPT)
    assert code_of(refusal) == (410, "cursor_expired", "cursor")
