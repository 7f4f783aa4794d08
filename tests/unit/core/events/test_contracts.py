import json
from typing import Any

import msgspec
import pytest

from sluice.core.errors import Ahead, Poison, Rejection
from sluice.core.events.contracts import Contracts, Facts, derive_event_id
from sluice.core.events.units import SeriesBook
from sluice.edge.events.schemas import SCHEMAS
from tests.support import samples


def read(contract: str, document: Any) -> Facts:
    return samples.contracts().judge(contract, "demo", samples.encode(document), document)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_firmware_decides_the_version_of_telemetry(version: int) -> None:
    facts = read("telemetry", samples.read(f"telemetry-v{version}.json"))
    assert (facts.schema_version, facts.event_type) == (version, "telemetry")
    assert facts.firmware is not None
    assert facts.firmware.startswith(f"{version}.")


def test_an_optional_metric_of_a_later_version_is_no_fault_in_an_earlier_one_but_its_type_counts() -> None:
    document = samples.read("telemetry-v1.json")
    document["metrics"]["something_new"] = 4
    assert read("telemetry", document).metrics["something_new"] == 4.0
    document["metrics"]["something_new"] = "4"
    with pytest.raises(Rejection) as rejected:
        read("telemetry", document)
    assert rejected.value.violations[0].path == "metrics.something_new"


def test_version_3_may_leave_out_the_deprecated_metric_and_version_2_may_not() -> None:
    document = samples.read("telemetry-v3.json")
    assert "supply_voltage" not in document["metrics"]
    assert read("telemetry", document).schema_version == 3
    document["device_firmware_version"] = "2.9.9"
    with pytest.raises(Rejection, match="supply_voltage is missing"):
        read("telemetry", document)


@pytest.mark.parametrize(
    ("contract", "name"), [("telemetry", "telemetry-v1"), ("reading", "reading-v1"), ("activity", "activity-v1")]
)
def test_a_uuid_in_capitals_is_the_same_event(contract: str, name: str) -> None:
    plain = "7b1f0f52-0000-4000-8000-00000000000a"
    document = samples.read(f"{name}.json")
    for written in (plain, plain.upper()):
        assert read(contract, document | {"event_id": written}).event_id == plain


def test_an_id_that_is_no_uuid_is_taken_as_it_is() -> None:
    assert read("reading", samples.read("reading-v1.json") | {"event_id": "Reading-A"}).event_id == "Reading-A"


@pytest.mark.parametrize("firmware", ["9.0.0", "0.1", "x", "", "01.2.3", "٣.0", "-1.0", "1" * 10_000, None, 3, ["1.0"]])
def test_unknown_firmware_is_rejected_with_its_own_code(firmware: Any) -> None:
    document = samples.read("telemetry-v1.json") | {"device_firmware_version": firmware}
    with pytest.raises(Rejection) as rejected:
        read("telemetry", document)
    assert rejected.value.code == "unknown_firmware"
    assert len(rejected.value.message) < 200


def test_every_fault_of_an_event_is_listed_with_path_rule_and_message() -> None:
    with pytest.raises(Rejection) as rejected:
        read("telemetry", samples.read("telemetry-invalid.json"))
    found = {(violation.path, violation.rule) for violation in rejected.value.violations}
    assert found == {("metrics.vibration_rms", "required"), ("metrics.cpu_temp", "type")}
    assert all(violation.message for violation in rejected.value.violations)


def test_a_reading_without_a_version_is_of_version_1_and_both_versions_live_side_by_side() -> None:
    assert read("reading", samples.read("reading-v1.json")).schema_version == 1
    assert read("reading", samples.read("reading-v2.json")).schema_version == 2


@pytest.mark.parametrize("version", [0, 3, True, 1.0, "1", None])
def test_a_schema_version_that_is_not_known_is_rejected_not_guessed(version: Any) -> None:
    with pytest.raises(Rejection) as rejected:
        read("reading", samples.read("reading-v1.json") | {"schema_version": version})
    assert rejected.value.code == "unknown_schema_version"


def test_a_reading_is_kept_in_the_unit_of_its_series() -> None:
    assert read("reading", samples.read("reading-v1.json")).metrics == {"temperature": pytest.approx(21.5)}
    assert read("reading", samples.read("reading-v2.json")).metrics == {"pressure": pytest.approx(620.0)}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"unit": "V"}, "unit_mismatch"),
        ({"unit": "furlong"}, "unit_mismatch"),
        ({"sensor_type": "mood"}, "unknown_sensor_type"),
    ],
)
def test_a_reading_whose_unit_or_series_is_unknown_is_rejected(change: dict[str, str], code: str) -> None:
    with pytest.raises(Rejection) as rejected:
        read("reading", samples.read("reading-v1.json") | change)
    assert rejected.value.code == code


def test_an_activity_without_an_id_gets_one_from_its_fleet_and_bytes() -> None:
    document = samples.read("activity-v1.json")
    facts = read("activity", document)
    assert facts.event_id == derive_event_id("demo", samples.encode(document))
    assert facts.event_id != derive_event_id("other", samples.encode(document))
    assert (facts.device_id, facts.event_type) == ("gate-north", "door_opened")
    assert read("activity", document | {"event_id": "own"}).event_id == "own"


@pytest.mark.parametrize(
    "timestamp",
    ["2026-13-01T00:00:00Z", "2026-02-29T00:00:00Z", "9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+01:00"],
)
def test_a_time_that_does_not_exist_is_rejected(timestamp: str) -> None:
    with pytest.raises(Rejection) as rejected:
        read("telemetry", samples.read("telemetry-v1.json") | {"timestamp": timestamp})
    assert rejected.value.code == "invalid_time"


@pytest.mark.parametrize(
    "timestamp", ["2026-01-01T00:00:00", "yesterday", "2026-01-01", 1767225600, "2026-01-01T00:00:00Z\n"]
)
def test_a_time_without_a_zone_or_shape_breaks_the_contract(timestamp: Any) -> None:
    with pytest.raises(Rejection) as rejected:
        read("telemetry", samples.read("telemetry-v1.json") | {"timestamp": timestamp})
    assert rejected.value.violations[0].path == "timestamp"


@pytest.mark.parametrize("document", [[], "text", 7, None, True])
def test_what_is_not_an_object_is_no_event(document: object) -> None:
    with pytest.raises(Rejection) as rejected:
        read("telemetry", document)
    assert rejected.value.code == "not_an_object"


@pytest.mark.parametrize("version", [1, 2, 3])
def test_what_is_aggregated_of_telemetry_is_what_its_version_declares(version: int) -> None:
    document = samples.read(f"telemetry-v{version}.json")
    declared = dict(document["metrics"])
    document["metrics"] |= {"novelty": 1}
    facts = read("telemetry", document)
    assert samples.contracts().series_of(facts) == declared
    assert samples.contracts().undeclared(facts, document) == ["metrics.novelty"]


@pytest.mark.parametrize(
    "name", ["telemetry-v1", "telemetry-v2", "telemetry-v3", "reading-v1", "reading-v2", "activity-v1"]
)
def test_our_samples_have_no_undeclared_field_and_one_at_the_top_is_found_in_every_contract(name: str) -> None:
    document, contract = samples.read(f"{name}.json"), name.split("-")[0]
    facts = read(contract, document)
    assert samples.contracts().undeclared(facts, document) == []
    assert samples.contracts().undeclared(facts, document | {"extra": {"deep": 1}}) == ["extra"]


def fourth_version() -> Contracts:
    """Contracts with a version that renames a metric, sends it in kelvin, and declares one that is of no series."""
    schema = json.loads((SCHEMAS / "telemetry" / "3.json").read_text())
    schema |= {"$id": "urn:sluice:telemetry:4", "x-version": 4, "x-firmware-major": 4}
    firmware = schema["properties"]["device_firmware_version"]
    firmware["pattern"] = firmware["pattern"].replace("^3", "^4")
    metrics = schema["properties"]["metrics"]
    metrics["properties"]["processor_temperature"] = metrics["properties"].pop("cpu_temp") | {"x-unit": "K"}
    metrics["properties"]["uptime"] = {"type": "number"}
    metrics["required"] = ["processor_temperature"]
    return Contracts([schema], msgspec.json.decode((SCHEMAS / "series.json").read_bytes(), type=SeriesBook))


def test_a_series_continues_under_another_name_and_unit_by_the_schema_alone() -> None:
    contracts = fourth_version()
    document = samples.read("telemetry-v3.json") | {"device_firmware_version": "4.0.0"}
    document["metrics"] = {"processor_temperature": 323.15, "humidity": 40, "uptime": 7, "novelty": 1, "cpu_temp": 9}
    facts = contracts.judge("telemetry", "demo", b"", document)
    assert contracts.series_of(facts) == {"cpu_temp": pytest.approx(50.0), "humidity": 40.0}
    assert sorted(contracts.undeclared(facts, document)) == ["metrics.cpu_temp", "metrics.novelty"]
    # The raw table has declared numbers under their series too, and never another one in a series' place.
    assert facts.metrics == {"cpu_temp": pytest.approx(50.0), "humidity": 40.0, "uptime": 7.0, "novelty": 1.0}
    del document["metrics"]["processor_temperature"]
    with pytest.raises(Rejection, match="processor_temperature is missing"):
        contracts.judge("telemetry", "demo", b"", document)


def test_an_accepted_event_is_read_by_the_version_that_accepted_it_and_by_no_other() -> None:
    document = samples.read("reading-v1.json")
    assert "schema_version" not in document
    contracts = samples.contracts()
    assert contracts.read("reading", 1, "demo", b"", document) == contracts.judge("reading", "demo", b"", document)
    with pytest.raises(Rejection) as rejected:
        contracts.read("reading", 2, "demo", b"", document)
    assert rejected.value.code == "contract_violation"


@pytest.mark.parametrize(("contract", "number"), [("telemetry", 4), ("reading", 3), ("position", 1)])
def test_a_contract_or_a_version_that_is_not_known_yet_is_ahead(contract: str, number: int) -> None:
    with pytest.raises(Ahead) as ahead:
        samples.contracts().read(contract, number, "demo", b"", ["any value"])
    assert ahead.value.unknown == f"{contract} {number}"


@pytest.mark.parametrize("contract", ["", "Telemetry", "x" * 33, "tele metry", "telemetry\n"])
def test_what_no_contract_could_be_named_is_poison(contract: str) -> None:
    with pytest.raises(Poison):
        samples.contracts().read(contract, 1, "demo", b"", {})


@pytest.mark.parametrize(
    ("change", "unknown"), [({"sensor_type": "mood"}, "series mood"), ({"unit": "furlong"}, "unit furlong")]
)
def test_a_series_or_a_unit_that_a_newer_release_declared_is_ahead(change: dict[str, str], unknown: str) -> None:
    with pytest.raises(Ahead) as ahead:
        samples.contracts().read("reading", 1, "demo", b"", samples.read("reading-v1.json") | change)
    assert ahead.value.unknown == unknown


def test_a_unit_that_is_known_and_does_not_fit_was_never_accepted() -> None:
    with pytest.raises(Rejection, match="cannot be converted"):
        samples.contracts().read("reading", 1, "demo", b"", samples.read("reading-v1.json") | {"unit": "V"})
