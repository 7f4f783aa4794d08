"""Rules as admins write them: what is converted, what is refused, and in which words."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from sluice.core.control.rules import (
    MOST_OF_FLEET,
    MOST_RULES,
    NewRule,
    Rule,
    RuleChange,
    archive_rule,
    change_rule,
    check_room,
    create_rule,
    refuse_twin,
)
from sluice.core.errors import Refusal
from sluice.edge.events.schemas import load_series

NOW = datetime(2026, 11, 30, 8, tzinfo=UTC)
BOOK = load_series()
HOT = {"rule_id": "hot", "kind": "above", "metric": "bearing_temp", "open": 80}


def create(**changed: Any) -> Rule:
    """Create a rule from what an admin would send."""
    wanted = {name: value for name, value in (HOT | changed).items() if value is not None}
    return create_rule("f", msgspec.json.decode(msgspec.json.encode(wanted), type=NewRule), BOOK, NOW)


def silence(**changed: Any) -> Rule:
    return create(**{"kind": "silence", "metric": None, "open": 3} | changed)


def test_a_rule_has_defaults_that_are_easy_to_say() -> None:
    rule = create()
    assert (rule.clear, rule.breaches, rule.of, rule.severity, rule.version) == (80, 1, 1, "warning", 1)
    assert (rule.described()["unit"], rule.described()["state"]) == ("degC", "active")


@pytest.mark.parametrize(
    ("unit", "open_", "clear", "opens", "clears"),
    [("degF", 176, 167, 80, 75), ("K", 353.15, None, 80, 80), ("degC", 80, 70, 80, 70)],
)
def test_a_threshold_is_kept_in_the_unit_of_its_series(
    unit: str, open_: float, clear: float | None, opens: float, clears: float
) -> None:
    rule = create(unit=unit, open=open_, clear=clear)
    assert (rule.open, rule.clear, rule.unit) == (opens, clears, "degC")


@pytest.mark.parametrize(
    ("kind", "open_", "clear", "measure"),
    [
        ("zscore", 3, 2, "deviations"),
        ("baseline", 3, 3, "deviations"),
        ("level", 3, 0, "deviations"),
        ("range", 0.25, 0, "share"),
        ("stuck", 0.05, 0.5, "share"),
    ],
)
def test_other_kinds_have_measures_of_their_own(kind: str, open_: float, clear: float, measure: str) -> None:
    described = create(kind=kind, open=open_, clear=clear, severity="critical").described()
    assert (described["unit"], described["open"], described["clear"]) == (measure, open_, clear)
    assert create(kind=kind, open=open_, clear=clear, unit=measure).unit is None


def test_a_silence_is_of_a_device_as_a_whole() -> None:
    assert (silence().metric, silence().described()["unit"]) == ("", "intervals")


@pytest.mark.parametrize(
    ("changed", "code", "says"),
    [
        ({"metric": "cpu_tmp"}, "unknown_metric", "'cpu_tmp' is not a declared series; declared are battery,"),
        ({"metric": None}, "unknown_metric", "A rule of kind above needs a metric"),
        ({"metric": "\0"}, "unknown_metric", "is not a declared series"),
        ({"unit": "V"}, "unit_mismatch", "bearing_temp is kept in degC; 'V' cannot be converted to it"),
        ({"unit": "furlong"}, "unit_mismatch", "cannot be converted to it, K, degC, degF can"),
        ({"kind": "zscore", "open": 3, "unit": "degC"}, "unit_mismatch", "counts deviations: leave out the unit"),
        ({"clear": 81}, "invalid_rule", "clear (81) must not be more than open (80)"),
        ({"kind": "below", "clear": 79}, "invalid_rule", "clear (79) must not be less than open (80)"),
        ({"kind": "zscore", "open": 3, "clear": 4}, "invalid_rule", "clear (4) must not be more than open (3)"),
        ({"kind": "stuck", "open": 0.1, "clear": 0.05}, "invalid_rule", "clear (0.05) must not be less than"),
        ({"kind": "zscore", "open": 0}, "invalid_rule", "is more than 0 and at most 1,000 deviations, and not 0"),
        ({"kind": "range", "open": -1}, "invalid_rule", "is more than 0 and at most 1,000 share"),
        ({"kind": "stuck", "open": 1.5}, "invalid_rule", "is more than 0 and at most 1 share"),
        ({"kind": "level", "open": 3, "clear": -1}, "invalid_rule", "clear is from 0 to 1,000, and not -1"),
        ({"kind": "silence", "open": 3}, "invalid_rule", "A rule of kind silence has no metric"),
        ({"kind": "silence", "metric": None, "open": 1}, "invalid_rule", "more than 1 and at most 10,000 intervals"),
        ({"breaches": 3, "of": 2}, "invalid_rule", "breaches is from 1 to of, which is 2, and not 3"),
        ({"breaches": 0, "of": 2}, "invalid_rule", "and not 0"),
        ({"breaches": 4, "of": 11}, "invalid_rule", "of is from 1 to 10 readings, and not 11"),
        ({"device_type": "Press 1"}, "invalid_rule", "device_type is 1 to 63 lower-case letters"),
        ({"device_type": "press", "device_id": "p-1"}, "invalid_rule", "send device_id or device_type, and not both"),
        ({"device_id": " p-1"}, "invalid_rule", "device_id is 1 to 128 printable characters"),
        ({"device_id": ""}, "invalid_rule", "device_id is 1 to 128 printable characters"),
        ({"device_id": "p" * 129}, "invalid_rule", "device_id is 1 to 128 printable characters"),
        ({"rule_id": "Hot"}, "invalid_rule", "rule_id is 1 to 63 lower-case letters, digits and dashes"),
        ({"rule_id": "hot\n"}, "invalid_rule", "rule_id is 1 to 63"),
        ({"rule_id": "default-range"}, "invalid_rule", "Ids that begin with default- belong to the rules for series"),
        # Of a unit a thousand times as large.
        ({"metric": "vibration", "unit": "m/s", "open": 1e308}, "invalid_rule", "open must be a finite number"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_with_a_sentence(changed: dict[str, Any], code: str, says: str) -> None:
    with pytest.raises(Refusal) as refused:
        create(**changed)
    assert (refused.value.status, refused.value.code) == (400, code)
    assert says in refused.value.detail
    assert refused.value.detail.endswith(".")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_refused(value: float) -> None:
    with pytest.raises(Refusal, match="open must be a finite number"):
        create_rule("f", NewRule("hot", "above", value, "bearing_temp"), BOOK, NOW)
    with pytest.raises(Refusal, match="clear must be a finite number"):
        create_rule("f", NewRule("hot", "above", 1, "bearing_temp", clear=value), BOOK, NOW)
    with pytest.raises(Refusal, match="clear must be a finite number"):
        change_rule(create(), RuleChange(clear=value), BOOK)


@pytest.mark.parametrize(
    "body",
    [
        b'{"rule_id": "a", "kind": "above"}',
        b'{"rule_id": "a", "kind": "sideways", "open": 1}',
        b'{"rule_id": "a", "kind": "above", "open": NaN}',
        b'{"rule_id": "a", "kind": "above", "open": "80"}',
        b'{"rule_id": "a", "kind": "above", "open": 1, "severity": "fatal"}',
        b'{"rule_id": "a", "kind": "above", "open": 1, "of": 2.5}',
        b'{"rule_id": "a", "kind": "above", "open": 1, "threshold": 1}',
    ],
)
def test_another_form_is_refused_before_it_is_read(body: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(body, type=NewRule)


def test_a_change_takes_the_unit_of_its_request_and_leaves_the_rest() -> None:
    rule = create(clear=70, severity="critical")
    changed = change_rule(rule, RuleChange(open=194, unit="degF"), BOOK)
    assert (changed.open, changed.clear, changed.severity, changed.version) == (90, 70, "critical", 2)
    assert change_rule(rule, RuleChange(open=176, unit="degF"), BOOK) == rule
    assert change_rule(rule, RuleChange(), BOOK) == rule


def test_a_change_is_checked_with_what_it_leaves() -> None:
    rule = create(clear=70)
    for change, says in (
        (RuleChange(open=60), "clear \\(70\\) must not be more than open \\(60\\)"),
        (RuleChange(breaches=2), "breaches is from 1 to of"),
        (RuleChange(unit="degF"), "unit is that of open and clear"),
    ):
        with pytest.raises(Refusal, match=says):
            change_rule(rule, change, BOOK)
    assert change_rule(rule, RuleChange(breaches=2, of=3), BOOK).of == 3


def test_an_archived_rule_does_not_change() -> None:
    archived = archive_rule(create(), NOW)
    assert (archived.state, archived.version) == ("archived", 2)
    with pytest.raises(Refusal, match="archived"):
        archive_rule(archived, NOW)
    with pytest.raises(Refusal, match="archived"):
        change_rule(archived, RuleChange(open=1), BOOK)


def test_rules_are_limited_by_fleet_and_in_all() -> None:
    check_room(MOST_OF_FLEET - 1, MOST_RULES - 1)
    with pytest.raises(Refusal, match="The fleet has 1,000 rules"):
        check_room(MOST_OF_FLEET, MOST_OF_FLEET)
    with pytest.raises(Refusal, match="All fleets together have 10,000 rules"):
        check_room(0, MOST_RULES)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({}, "Rule warm is of kind above for bearing_temp and all devices already"),
        ({"device_type": "press"}, "for bearing_temp and press already"),
        ({"device_id": "p-1"}, "for bearing_temp and p-1 already"),
    ],
)
def test_a_twin_is_named(changed: dict[str, Any], says: str) -> None:
    assert says in refuse_twin(create(**changed), "warm").detail
