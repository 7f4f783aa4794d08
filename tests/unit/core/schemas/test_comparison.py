"""A candidate against its previous version: series, mappings, and who is hit."""

from typing import Any

import pytest

from sluice.core.schemas.comparison import BreakingChange, compare, find_previous_version
from sluice.core.schemas.errors import UnsupportedSchema
from sluice.core.schemas.rules import MEANING, RULES, SERIES, WIRE
from tests.support.schemas import BOOK, REMOVED, Document, change, follow, fourth, read, released

M = "properties__metrics__properties"
THIRD = released("telemetry", 3)
METRIC: Document = {"type": "number"}


def check(previous: Document, candidate: Document) -> tuple[BreakingChange, ...]:
    return compare(read(previous), read(candidate), BOOK)


def tell(changes: tuple[BreakingChange, ...]) -> list[str]:
    """Each breaking change as rule and field; = a mapping that is declared, ~ one that is proposed."""
    mappings = [("" if each.mapping is None else f" {'~='[each.covered]} {each.mapping.text}") for each in changes]
    return [f"{each.rule.id} {each.path}{mapping}" for each, mapping in zip(changes, mappings, strict=True)]


RENAME = "rename cpu_temp -> processor_temperature"
RENAMED = [
    f"FIELD_REMOVED metrics.cpu_temp = {RENAME}",
    f"FIELD_NEWLY_REQUIRED metrics.processor_temperature = {RENAME}",
    "UNIT_CHANGED metrics.processor_temperature = unit degC -> K",
]


def test_the_fourth_version_breaks_the_wire_and_its_mapping_covers_that() -> None:
    changes = check(THIRD, fourth())
    assert tell(changes) == RENAMED
    assert [each.hits for each in changes] == [
        ("consumers of raw events", "series cpu_temp", "aggregate", "detect", "recount"),
        ("firmware authors",),
        ("consumers of raw events", "series cpu_temp", "aggregate", "detect", "recount"),
    ]
    assert all(each.covered for each in changes)


@pytest.mark.parametrize(("previous", "new"), [(1, 2), (2, 3)])
def test_released_versions_of_telemetry_break_nothing(previous: int, new: int) -> None:
    assert check(released("telemetry", previous), released("telemetry", new)) == ()


def test_a_version_of_readings_that_asks_for_more_says_what() -> None:
    assert tell(check(released("reading", 1), released("reading", 2))) == [
        "FIELD_NEWLY_REQUIRED firmware_version",
        "FIELD_NEWLY_REQUIRED region",
    ]


NO_LINEAGE: Document = {f"{M}__processor_temperature": METRIC}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({f"{M}__load": METRIC}, []),
        ({f"{M}__load": METRIC | {"x-series": "power", "x-unit": "kW"}}, []),
        ({f"{M}__cpu_temp__x-unit": "K"}, ["UNIT_CHANGED metrics.cpu_temp = unit degC -> K"]),
        ({f"{M}__humidity": REMOVED}, ["FIELD_REMOVED metrics.humidity", "SERIES_LOST metrics.humidity"]),
        (
            {f"{M}__humidity": METRIC},
            ["SERIES_LOST metrics.humidity ~ x-series humidity"],
        ),
        (
            {f"{M}__humidity": METRIC | {"x-series": "power", "x-unit": "W"}},
            ["SERIES_LOST metrics.humidity", "SERIES_MOVED metrics.humidity"],
        ),
        (
            {f"{M}__humidity__type": "integer"},
            ["TYPE_CHANGED metrics.humidity = cast number -> integer"],
        ),
        # An optional metric that is gone does not say that each event has the new one.
        (
            {f"{M}__humidity": REMOVED, f"{M}__load": METRIC, "properties__metrics__required": ["cpu_temp", "load"]},
            [
                "FIELD_REMOVED metrics.humidity ~ rename humidity -> load",
                "FIELD_NEWLY_REQUIRED metrics.load",
                "SERIES_LOST metrics.humidity ~ rename humidity -> load",
            ],
        ),
        (
            {f"{M}__humidity": METRIC, f"{M}__load": METRIC, "properties__metrics__required": ["cpu_temp", "load"]},
            ["FIELD_NEWLY_REQUIRED metrics.load", "SERIES_LOST metrics.humidity ~ x-series humidity"],
        ),
        (
            {
                f"{M}__cpu_temp": METRIC | {"x-series": "bearing_temp", "x-unit": "degC"},
                f"{M}__bearing_temp": METRIC | {"x-series": "cpu_temp", "x-unit": "degC"},
            },
            ["SERIES_MOVED metrics.cpu_temp", "SERIES_MOVED metrics.bearing_temp"],
        ),
        (
            {
                f"{M}__cpu_temp": METRIC | {"x-series": "power", "x-unit": "W"},
                f"{M}__humidity": METRIC | {"x-series": "cpu_temp", "x-unit": "degC"},
                "properties__metrics__required": ["humidity", "vibration_rms"],
            },
            [
                "FIELD_NEWLY_REQUIRED metrics.humidity = rename cpu_temp -> humidity",
                "SERIES_LOST metrics.humidity",
                "SERIES_MOVED metrics.cpu_temp",
                "SERIES_MOVED metrics.humidity",
            ],
        ),
        ({f"{M}__humidity__maximum": 100}, ["RANGE_NARROWED metrics.humidity"]),
        ({f"{M}__humidity__deprecated": True, f"{M}__humidity__description": "Of the air."}, []),
        ({"properties__metrics__additionalProperties__maximum": 100}, ["RANGE_NARROWED metrics.*"]),
        ({"properties__diagnostics": REMOVED}, ["FIELD_REMOVED diagnostics"]),
        ({"properties__diagnostics__properties": {"code": {"type": "integer"}}}, []),
        (
            {"properties__device_firmware_version__pattern": r"^4\.[0-9]{1,9}$"},
            ["PATTERN_CHANGED device_firmware_version"],
        ),
        ({"properties__timestamp__pattern": "^[0-9TZ:.-]{1,64}$"}, ["PATTERN_CHANGED timestamp"]),
        ({"properties__metrics__required": ["cpu_temp"]}, []),
        (
            {"properties__metrics__required": ["cpu_temp", "vibration_rms", "humidity"]},
            ["FIELD_NEWLY_REQUIRED metrics.humidity"],
        ),
    ],
)
def test_a_single_edit_of_telemetry(changes: dict[str, Any], expected: list[str]) -> None:
    assert tell(check(THIRD, follow(THIRD, **changes))) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({f"{M}__processor_temperature__x-unit": "degC"}, RENAMED[:2]),
        (
            {"properties__metrics__required": ["vibration_rms"]},
            [RENAMED[0], RENAMED[2]],
        ),
        (
            {f"{M}__processor_temperature__type": "integer"},
            [*RENAMED[:2], "TYPE_CHANGED metrics.processor_temperature = cast number -> integer", RENAMED[2]],
        ),
        (
            NO_LINEAGE,
            [
                f"FIELD_REMOVED metrics.cpu_temp ~ {RENAME}",
                f"FIELD_NEWLY_REQUIRED metrics.processor_temperature ~ {RENAME}",
                f"SERIES_LOST metrics.cpu_temp ~ {RENAME}",
            ],
        ),
        (
            NO_LINEAGE | {f"{M}__load": METRIC},
            [
                "FIELD_REMOVED metrics.cpu_temp",
                "FIELD_NEWLY_REQUIRED metrics.processor_temperature",
                "SERIES_LOST metrics.cpu_temp",
            ],
        ),
        (
            {f"{M}__processor_temperature__x-series": "bearing_temp", f"{M}__bearing_temp": REMOVED},
            [
                "FIELD_REMOVED metrics.cpu_temp",
                "FIELD_REMOVED metrics.bearing_temp = rename bearing_temp -> processor_temperature",
                "FIELD_NEWLY_REQUIRED metrics.processor_temperature",
                "SERIES_LOST metrics.cpu_temp",
                "UNIT_CHANGED metrics.processor_temperature = unit degC -> K",
            ],
        ),
    ],
)
def test_a_single_edit_of_the_fourth_version(changes: dict[str, Any], expected: list[str]) -> None:
    assert tell(check(THIRD, fourth(**changes))) == expected


# 0 to 100 degC is 273.15 to 373.15 K.
BOUNDED = change(THIRD, **{f"{M}__cpu_temp__minimum": 0, f"{M}__cpu_temp__maximum": 100})


@pytest.mark.parametrize(
    ("least", "most", "narrower"), [(273.15, 373.15, False), (273.1, 400, False), (273.2, 400, True), (0, 373, True)]
)
def test_a_range_in_another_unit_is_compared_in_that_unit(least: float, most: float, narrower: bool) -> None:
    at = f"{M}__processor_temperature"
    changes = check(BOUNDED, fourth(**{f"{at}__minimum": least, f"{at}__maximum": most}))
    found = [each for each in changes if each.rule.id == "RANGE_NARROWED"]
    assert [(each.previous, each.mapping, each.hits) for each in found] == (
        [("273.15 to 373.15", None, ("firmware authors",))] if narrower else []
    )
    # Under the same name the numbers themselves are other ones, which the mapping of the unit covers.
    at = f"{M}__cpu_temp"
    kelvin = follow(BOUNDED, **{f"{at}__x-unit": "K", f"{at}__minimum": least, f"{at}__maximum": most})
    (same,) = (each for each in check(BOUNDED, kelvin) if each.rule.id == "RANGE_NARROWED")
    assert (same.covered, "firmware authors" in same.hits) == (not narrower, True)


def test_whole_numbers_that_may_be_fractions_now_change_their_meaning_alone() -> None:
    whole = change(THIRD, **{f"{M}__humidity__type": "integer"})
    (widened,) = check(whole, follow(whole, **{f"{M}__humidity__type": "number"}))
    assert tell((widened,)) == ["TYPE_WIDENED metrics.humidity = cast integer -> number"]
    assert (widened.rule.category, "firmware authors" in widened.hits) == (MEANING, False)


def test_breaking_changes_are_listed_by_category_and_each_rule_has_one() -> None:
    categories = [rule.category for rule in RULES]
    assert categories == sorted(categories, key=(WIRE, SERIES, MEANING).index)
    assert len({rule.id for rule in RULES}) == len(RULES)


@pytest.mark.parametrize(
    ("candidate", "said"),
    [
        (
            change(THIRD, properties__metrics__maxProperties=65),
            "telemetry 3 is released and never changes: the next is 4",
        ),
        (
            follow(THIRD, **{"x-firmware-major": 3, "properties__device_firmware_version__pattern": r"^3\.x$"}),
            "firmware 3.x",
        ),
    ],
)
def test_a_number_or_a_firmware_that_is_taken_is_refused(candidate: Document, said: str) -> None:
    with pytest.raises(UnsupportedSchema) as refused:
        find_previous_version(read(candidate), [read(released("telemetry", number)) for number in (1, 2, 3)])
    assert said in str(refused.value)


def test_a_number_below_the_newest_is_refused() -> None:
    with pytest.raises(UnsupportedSchema, match="the next version is 4"):
        find_previous_version(
            read(released("telemetry", 2)), [read(released("telemetry", number)) for number in (1, 3)]
        )


def test_a_released_version_is_compared_with_its_previous_version() -> None:
    versions = [read(released("telemetry", number)) for number in (1, 2, 3)]
    assert find_previous_version(versions[2], versions) == versions[1]
    assert find_previous_version(versions[0], versions) is None
    assert find_previous_version(read(fourth()), versions) == versions[2]
    assert find_previous_version(read(released("activity", 1)), versions) is None
