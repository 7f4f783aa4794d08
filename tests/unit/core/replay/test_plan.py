"""A plan is what it was made as, where it was made, and for as long as what it expects is likely."""

import json
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from sluice.core.errors import Refusal
from sluice.core.limits import Limits
from sluice.core.replay.plan import (
    MOST_DEVICES,
    MOST_HOURS,
    VALID,
    Expected,
    Files,
    Plan,
    PlanRefusedError,
    Span,
    Wanted,
    check_age,
    check_place,
    check_wanted,
    describe,
    digest_files,
    read_plan,
    read_wanted,
    receptions,
    seal,
    widen,
)
from sluice.core.times import write_time
from tests.support.samples import NOW

HOUR = timedelta(hours=1)
NINE = NOW.replace(minute=0, second=0, microsecond=0)
WANTED = {"fleet_id": "demo", "from": "2026-11-20T08:00:00Z", "to": "2026-11-20T09:00:00Z"}
PLAN = seal(
    Plan(
        version=1,
        stage="prod",
        region="eu-central-1",
        made_at=write_time(NOW),
        fleet_id="demo",
        device_ids=("press-1", "press-2"),
        include_late=False,
        reprocess=False,
        asked=Span(write_time(NINE - HOUR), write_time(NINE)),
        hours=Span(write_time(NINE - HOUR), write_time(NINE)),
        widened=("a word",),
        files=Files(2, 4096, "d" * 64),
        expected=Expected(1000, 1, 2, 3, 60),
        warnings=("another word",),
    )
)


def wanted(**changed: Any) -> Wanted:
    return msgspec.structs.replace(Wanted(NINE - HOUR, NINE, "demo"), **changed)


def changes(document: Any) -> list[Any]:
    """Every document that differs from this one in one value."""
    if isinstance(document, dict):
        return [document | {name: changed} for name, held in document.items() for changed in changes(held)]
    if isinstance(document, list):
        return [
            [],
            *(
                [*document[:at], changed, *document[at + 1 :]]
                for at, held in enumerate(document)
                for changed in changes(held)
            ),
        ]
    if isinstance(document, bool):
        return [not document]
    return [document + 1 if isinstance(document, int) else document.replace(document[-1:], "", 1) + "5"]


def test_a_plan_survives_its_way_to_a_file_and_back() -> None:
    assert read_plan(json.loads(json.dumps(describe(PLAN), indent=2))) == PLAN


def test_any_value_that_is_changed_by_hand_is_refused() -> None:
    given = json.loads(json.dumps(describe(PLAN)))
    changed = changes(given)
    assert len(changed) > len(given)
    for document in changed:
        with pytest.raises(PlanRefusedError) as refused:
            read_plan(document)
        assert refused.value.code == ("invalid_plan" if document["version"] != 1 else "plan_altered"), document


@pytest.mark.parametrize(
    "given",
    [
        None,
        "a plan",
        [],
        {},
        describe(PLAN) | {"version": 2},
        describe(PLAN) | {"more": 1},
        {name: held for name, held in describe(PLAN).items() if name != "fleet_id"},
        describe(PLAN) | {"expected": {}},
    ],
)
def test_what_is_no_plan_of_this_version_is_refused_as_that(given: object) -> None:
    with pytest.raises(PlanRefusedError) as refused:
        read_plan(given)
    assert refused.value.code == "invalid_plan"


@pytest.mark.parametrize("events", [2**53, -(2**60)])
def test_a_number_that_no_hash_has_is_refused_like_any_other_change(events: int) -> None:
    given = json.loads(json.dumps(describe(PLAN)))
    given["expected"]["events"] = events
    with pytest.raises(PlanRefusedError) as refused:
        read_plan(given)
    assert refused.value.code == "plan_altered"


def test_a_replay_is_named_by_the_plans_hash() -> None:
    assert PLAN.replay_id == f"replay-{PLAN.hash[:16]}"
    other = seal(msgspec.structs.replace(PLAN, include_late=True))
    assert other.replay_id != PLAN.replay_id


@pytest.mark.parametrize(("stage", "region"), [("dev", "eu-central-1"), ("prod", "us-east-1")])
def test_a_plan_is_for_the_deployment_that_made_it(stage: str, region: str) -> None:
    check_place(PLAN, "prod", "eu-central-1")
    with pytest.raises(PlanRefusedError) as refused:
        check_place(PLAN, stage, region)
    assert refused.value.code == "plan_of_another_stage"


def test_a_plan_expires() -> None:
    check_age(PLAN, NOW + VALID)
    with pytest.raises(PlanRefusedError) as refused:
        check_age(PLAN, NOW + VALID + timedelta(seconds=1))
    assert refused.value.code == "plan_expired"


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"to": NINE - HOUR}, "range_reversed"),
        ({"to": NINE - 2 * HOUR}, "range_reversed"),
        ({"from_": NOW + timedelta(seconds=1), "to": NOW + HOUR}, "range_in_future"),
        ({"from_": NINE - (MOST_HOURS + 1) * HOUR}, "range_too_long"),
        ({"from_": NINE - MOST_HOURS * HOUR, "to": NINE + timedelta(microseconds=1)}, "range_too_long"),
        ({"device_ids": ()}, "invalid_devices"),
        ({"device_ids": ("press",) * (MOST_DEVICES + 1)}, "invalid_devices"),
    ],
)
def test_a_range_that_cannot_be_replayed_is_refused_before_anything_is_read(changed: dict[str, Any], code: str) -> None:
    with pytest.raises(Refusal) as refused:
        check_wanted(wanted(**changed), NOW)
    assert (refused.value.status, refused.value.code) == (400, code)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"to": NINE + 2 * HOUR},
        {"from_": NINE - MOST_HOURS * HOUR},
        {"device_ids": ("press",) * MOST_DEVICES},
    ],
)
def test_what_can_be_replayed_passes(changed: dict[str, Any]) -> None:
    check_wanted(wanted(**changed), NOW)


def ask(since: str, until: str) -> None:
    wanted = read_wanted(WANTED | {"from": since, "to": until})
    assert isinstance(wanted, Wanted)
    check_wanted(wanted, NOW)


@pytest.mark.parametrize(
    ("since", "until", "code"),
    [
        ("2026-11-20T08:00:00Z", "9999-12-31T23:59:59Z", "range_too_long"),
        ("0001-01-01T00:00:00Z", "2026-11-20T08:00:00Z", "range_too_long"),
        ("0001-01-01T00:00:00+14:00", "2026-11-20T08:00:00Z", "invalid_range"),
        ("2026-11-20T08:00:00Z", "9999-12-31T23:59:59-14:00", "invalid_range"),
        ("2026-11-20T08:00:00", "2026-11-20T09:00:00Z", "invalid_range"),
        ("2026-11-20T08:00:00Z", "2026-11-20T09:00:00", "invalid_range"),
    ],
)
def test_times_without_a_zone_and_at_the_ends_of_the_calendar_are_refused(since: str, until: str, code: str) -> None:
    with pytest.raises(Refusal) as refused:
        ask(since, until)
    assert (refused.value.status, refused.value.code) == (400, code)


@pytest.mark.parametrize(
    "given",
    [
        None,
        {},
        WANTED | {"days": 3},
        WANTED | {"from": "yesterday"},
        WANTED | {"device_ids": "press-1"},
        WANTED | {"include_late": 1},
    ],
)
def test_what_an_admin_asks_is_read_strictly(given: object) -> None:
    with pytest.raises(Refusal) as refused:
        read_wanted(given)
    assert (refused.value.status, refused.value.code) == (400, "invalid_body")


@pytest.mark.parametrize("since", ["2026-11-20T08:00:00Z", "2026-11-20T22:00:00+14:00", "2026-11-19T20:00:00-12:00"])
def test_what_an_admin_asks_is_read_in_utc(since: str) -> None:
    read = read_wanted(WANTED | {"from": since, "device_ids": ["press-1"]})
    assert read == wanted(device_ids=("press-1",))
    # Raw files lie under days of UTC.
    assert read.from_.date() == NINE.date()


@pytest.mark.parametrize(
    ("since", "until", "widened"),
    [
        (NINE - HOUR, NINE, (NINE - HOUR, NINE)),
        (NINE - timedelta(microseconds=1), NINE + timedelta(microseconds=1), (NINE - HOUR, NINE + HOUR)),
        (NOW, NOW + timedelta(minutes=1), (NINE, NINE + HOUR)),
    ],
)
def test_a_range_is_widened_to_whole_hours_and_says_so(
    since: datetime, until: datetime, widened: tuple[datetime, datetime]
) -> None:
    start, end, told = widen(wanted(from_=since, to=until))
    assert (start, end) == widened
    assert bool(told) == ((since, until) != widened)
    assert all(write_time(moment) in told[0] for moment in widened if told)


def test_events_of_an_hour_are_received_from_a_clock_ahead_before_it_to_the_latest_after_it() -> None:
    limits = Limits()
    since, until = receptions(NINE, NINE + HOUR, limits)
    assert since <= NINE - limits.clock_ahead
    assert until >= NINE + HOUR + limits.late


def test_a_list_of_files_has_a_digest_of_names_and_contents_in_any_order() -> None:
    files = {"raw/a": '"1"', "raw/b": '"2"'}
    assert digest_files(files) == digest_files(dict(reversed(files.items())))
    assert len({digest_files(files), digest_files(files | {"raw/b": '"3"'}), digest_files({"raw/a": '"1"'})}) == 3


@pytest.mark.parametrize("moment", ["yesterday", "2026-11-20T08:00:00", ""])
def test_a_plan_with_a_time_that_is_none_is_refused_even_if_its_hash_fits(moment: str) -> None:
    forged = seal(msgspec.structs.replace(PLAN, made_at=moment))
    with pytest.raises(PlanRefusedError) as refused:
        read_plan(describe(forged))
    assert refused.value.code == "invalid_plan"
