"""Which rules count for a series of a device."""

from typing import Any

import pytest
from msgspec.structs import replace

from sluice.core.detect.rulebook import UNKNOWN_TYPE, Rulebook
from sluice.core.detect.series_rules import SeriesRule


def rule(rule_id: str, **changed: Any) -> SeriesRule:
    given: dict[str, Any] = {
        "fleet_id": "f",
        "version": 1,
        "metric": "cpu_temp",
        "kind": "above",
        "open": 80.0,
        "clear": 75.0,
    }
    return SeriesRule(rule_id=rule_id, **given | changed)


ALL = rule("all")
PRESSES = rule("presses", device_type="press")
ONE = rule("one", device_id="p-1")
COLD = rule("cold", kind="below", open=5.0, clear=6.0)
BOOK = Rulebook([ONE, PRESSES, ALL, COLD, rule("other", fleet_id="g"), rule("wet", metric="humidity")])


def found(book: Rulebook, device_type: str | None, device: str, metric: str = "cpu_temp") -> list[str]:
    return sorted(each.rule_id for each in book.rules_for("f", device_type, device, metric))


@pytest.mark.parametrize(
    ("device_type", "device", "rules"),
    [
        (None, "p-2", ["all", "cold"]),
        ("lathe", "p-2", ["all", "cold"]),
        ("press", "p-2", ["cold", "presses"]),
        ("press", "p-1", ["cold", "one"]),
        ("lathe", "p-1", ["cold", "one"]),
        (None, "p-1", ["cold", "one"]),
    ],
)
def test_of_each_kind_the_rule_of_the_device_counts_then_of_its_type_then_of_the_fleet(
    device_type: str | None, device: str, rules: list[str]
) -> None:
    assert found(BOOK, device_type, device) == rules


def test_a_series_without_rules_has_none_and_a_fleet_sees_no_others() -> None:
    assert found(BOOK, "press", "p-1", "pressure") == []
    assert found(BOOK, "press", "p-1", "humidity") == ["wet"]
    assert [each.rule_id for each in BOOK.rules_for("g", None, "p-1", "cpu_temp")] == ["other"]
    assert BOOK.rules_for("h", None, "p-1", "cpu_temp") == ()
    assert Rulebook([]).rules_for("f", None, "p-1", "cpu_temp") == ()


def test_a_device_without_a_type_has_that_of_its_fleet() -> None:
    book = Rulebook([rule("all", fleet_type="press"), rule("presses", fleet_type="press", device_type="press")])
    assert found(book, None, "p-2") == ["presses"]
    assert found(book, "lathe", "p-2") == ["all"]


def test_of_a_device_whose_type_is_not_known_no_types_rule_counts() -> None:
    cold = rule("cold", fleet_type="press", device_type="press", kind="below", open=5.0, clear=6.0)
    book = Rulebook([replace(each, fleet_type="press") for each in (ALL, PRESSES, ONE)] + [cold])
    assert (found(book, None, "p-2"), found(book, None, "p-1")) == (["cold", "presses"], ["cold", "one"])
    assert (found(book, UNKNOWN_TYPE, "p-2"), found(book, UNKNOWN_TYPE, "p-1")) == (["all"], ["one"])


def test_a_silence_is_found_without_a_metric() -> None:
    book = Rulebook([rule("quiet", kind="silence", metric="", open=5.0, clear=1.0)])
    assert found(book, None, "p-1", "") == ["quiet"]


def test_types_of_devices_count_only_in_fleets_with_a_rule_for_a_type() -> None:
    assert BOOK.typed_fleets == {"f"}
    assert Rulebook([ALL, ONE, rule("other", fleet_id="g")]).typed_fleets == set()
