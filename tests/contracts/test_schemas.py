"""The contracts as files: well formed, the same everywhere, and kept by the samples."""

import itertools
import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import openapi_spec_validator
import pytest
import yaml

from functions.ingest.handler import CONTRACT_OF
from sluice.core.consumers import ACCOUNTED, Consumer
from sluice.core.events.violations import list_violations
from sluice.core.ledger.statement import NOT_YET, FleetAccount
from sluice.core.limits import Limits
from sluice.core.query.questions import MOST_CHANGES, MOST_ITEMS, MOST_METRICS, MOST_MINUTES
from sluice.core.rollups.resolutions import MOST_WINDOWS
from sluice.core.schemas.keywords import ANYWHERE, AT_THE_TOP
from sluice.core.schemas.parser import parse_version
from sluice.edge.events.schemas import load_series
from sluice.edge.query.routes import ROUTES
from tests.support import samples

SCHEMAS = Path(__file__).parents[2] / "schemas"
FILES = sorted(SCHEMAS.glob("*/*.json"))
OPENAPI: dict[str, Any] = yaml.safe_load((SCHEMAS / "openapi.yaml").read_text())

# The keywords that the listing of violations knows. A schema that uses another would be listed only in part.
KNOWN = {
    "$schema", "$id", "title", "description", "deprecated", "type", "const", "enum", "pattern", "properties",
    "required", "maxProperties", "propertyNames", "additionalProperties", "minimum", "maximum",
    "x-contract", "x-version", "x-firmware-major", "x-series", "x-unit", "x-says",
}  # fmt: skip


def load(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text())
    return document


def rules_of(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """A schema and every rule within it."""
    nested = [*schema.get("properties", {}).values(), schema.get("additionalProperties"), schema.get("propertyNames")]
    return [schema, *(rule for one in nested if isinstance(one, dict) for rule in rules_of(one))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_schema_is_valid_and_named_by_its_place(path: Path) -> None:
    schema = load(path)
    jsonschema.Draft7Validator.check_schema(schema)
    assert schema["$id"] == f"urn:sluice:{path.parent.name}:{path.stem}"
    assert (schema["x-contract"], schema["x-version"]) == (path.parent.name, int(path.stem))


@pytest.mark.parametrize("contract", ["telemetry", "reading", "activity"])
def test_event_contracts_use_only_rules_that_can_be_explained(contract: str) -> None:
    for path in (SCHEMAS / contract).glob("*.json"):
        for rule in rules_of(load(path)):
            assert set(rule) <= KNOWN
            assert "pattern" not in rule or rule["x-says"]


def test_the_keywords_that_candidates_may_use_are_those_that_can_be_explained() -> None:
    assert {*AT_THE_TOP, *ANYWHERE} == KNOWN


@pytest.mark.parametrize("contract", ["telemetry", "reading", "activity"])
def test_every_released_version_is_supported_and_named_by_its_place(contract: str) -> None:
    for path in (SCHEMAS / contract).glob("*.json"):
        assert parse_version(path.read_bytes(), load_series()).name == f"{contract} {path.stem}"


@pytest.mark.parametrize("contract", ["telemetry", "reading", "activity"])
def test_a_new_version_never_asks_telemetry_for_more_than_the_one_before(contract: str) -> None:
    versions = [load(path)["properties"] for path in sorted((SCHEMAS / contract).glob("*.json"))]
    for before, after in itertools.pairwise(versions):
        assert set(before) <= set(after)
        if contract == "telemetry":
            assert set(before["metrics"]["properties"]) <= set(after["metrics"]["properties"])
            assert set(after["metrics"]["required"]) <= set(before["metrics"]["required"])


def test_every_metric_of_telemetry_is_a_declared_series_in_its_unit() -> None:
    series = load(SCHEMAS / "series.json")["series"]
    for path in (SCHEMAS / "telemetry").glob("*.json"):
        for metric in load(path)["properties"]["metrics"]["properties"].values():
            assert series[metric["x-series"]]["unit"] == metric["x-unit"]


def test_every_series_is_kept_in_a_unit_that_exists() -> None:
    book = load(SCHEMAS / "series.json")
    assert {series["unit"] for series in book["series"].values()} <= set(book["units"])


@pytest.mark.parametrize(
    "name", ["telemetry-v1", "telemetry-v2", "telemetry-v3", "reading-v1", "reading-v2", "activity-v1"]
)
def test_the_samples_keep_their_contract_by_both_readings_of_it(name: str) -> None:
    contract, version = name.split("-v")
    schema, sample = load(SCHEMAS / contract / f"{version}.json"), samples.read(f"{name}.json")
    jsonschema.validate(sample, schema)
    assert list_violations(schema, sample) == ()


def test_the_openapi_document_is_valid_and_says_the_limits_that_ingest_keeps() -> None:
    openapi_spec_validator.validate(OPENAPI, base_uri=(SCHEMAS / "openapi.yaml").as_uri())
    posts = [operations["post"] for operations in OPENAPI["paths"].values() if "post" in operations]
    for operation in posts:
        batch = operation["requestBody"]["content"]["application/json"]["schema"]["oneOf"][1]
        assert batch["maxItems"] == Limits().max_events


def test_the_openapi_document_says_the_limits_that_query_keeps() -> None:
    shared = OPENAPI["components"]["parameters"]
    assert shared["Limit"]["schema"]["maximum"] == MOST_ITEMS == MOST_CHANGES
    assert shared["Metric"]["schema"]["maxItems"] == MOST_METRICS
    own = {
        (path, parameter["name"]): parameter["schema"]
        for path in ("rollups", "counters")
        for parameter in OPENAPI["paths"][f"/v1/fleets/{{fleet}}/{path}"]["get"]["parameters"]
        if "name" in parameter
    }
    assert own["rollups", "limit"]["maximum"] == MOST_WINDOWS
    assert own["counters", "minutes"]["maximum"] == MOST_MINUTES


def test_the_openapi_document_names_the_routes_that_devices_and_readers_have() -> None:
    routes = {f"{method.upper()} {path}" for path, operations in OPENAPI["paths"].items() for method in operations}
    assert routes == {*CONTRACT_OF, *ROUTES, "GET /health", "GET /v1/trace/{event_id}"}


def test_the_openapi_document_names_every_version_of_every_contract() -> None:
    named = {
        rule["$ref"]
        for name in ("Telemetry", "Reading", "Activity")
        for rule in OPENAPI["components"]["schemas"][name].get("oneOf", [OPENAPI["components"]["schemas"][name]])
    }
    files = {
        str(path.relative_to(SCHEMAS)) for path in FILES if path.parent.name in ("telemetry", "reading", "activity")
    }
    assert named == files


@pytest.mark.parametrize("consumer", ACCOUNTED, ids=lambda consumer: consumer.name)
def test_the_statement_has_the_account_of_each_consumer(consumer: Consumer) -> None:
    statement = OPENAPI["components"]["schemas"]["Statement"]["properties"]
    account = statement["account"]
    assert account["required"] == [field.name for field in msgspec.structs.fields(FleetAccount)]
    assert account["properties"][consumer.name]["required"] == [*consumer.ends, NOT_YET]
    assert consumer.name in statement["missing"]["items"]["properties"]["consumer"]["enum"]
