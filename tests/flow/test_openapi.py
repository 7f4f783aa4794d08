"""The OpenAPI document and the running API agree: generated requests get the documented answers."""

import json
import re
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import hypothesis
import psycopg
import pytest
import schemathesis
from schemathesis import checks

from local.admin import Admin
from tests.database.numbers import add_baseline, add_entity, add_metrics, add_sample, add_window
from tests.flow.conftest import Stack
from tests.support import samples
from tests.support.incidents import add_incident, add_rule

OPENAPI = Path(__file__).parents[2] / "schemas/openapi.yaml"
FLEET = "openapi"
INCIDENT = "0123456789abcdef01234567"
MOST_ADDRESS = 6000

CONFIG = schemathesis.Config.from_dict(
    {
        "seed": 20_261_120,
        # Below the gateway's throttles, whose answers are not ours.
        "rate-limit": "40/s",
        # Longer than the gateway's own: a function whose caller has gone still holds its slot.
        "request-timeout": 35,
        "generation": {"deterministic": True, "database": "none"},
        "phases": {"coverage": {"unexpected-methods": []}},
        # A batch may hold events of every contract: thousands of values at their bounds, which the corpus has as well.
        "operations": [{"include-path": "/v1/events", "phases": {"coverage": {"enabled": False}}}],
    }
)
SCHEMA = schemathesis.openapi.from_path(OPENAPI, config=CONFIG)

PROMISES = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]


@pytest.fixture(scope="module")
def keys(stack: Stack) -> dict[str, str]:
    """Keys by the method they are for. Quotas do not limit this test: nearly all generated events are rejected."""
    admin = Admin.of(stack)
    admin.create_fleet(FLEET, events_per_second=1e6, rejects_per_second=1e6)
    return {method: admin.create_key(FLEET, role) for method, role in (("POST", "device"), ("GET", "reader"))}


@pytest.fixture(scope="module")
def numbers(stack: Stack, keys: dict[str, str]) -> None:
    """Something to read of each kind."""
    # With its key the fleet exists, as the row of a rule needs it.
    del keys
    group = json.dumps({"group_id": "hall", "name": "Hall", "devices": ["press-1"]}).encode()
    address = f"{stack['directory']}/fleets/{FLEET}/groups/hall"
    headers = {"content-type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(address, group, headers, method="PUT")).close()
    now = datetime.now(UTC)
    hour = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=2)
    with psycopg.connect(stack["database"]) as connection:
        known = add_metrics(connection)
        for name in ("press-1", None):
            entity = add_entity(connection, FLEET, name)
            add_window(connection, "1h", entity, hour, {"cpu_temp": [1.0, 2.0], "humidity": [3.0]}, known)
            add_sample(connection, entity, now, {"cpu_temp": 1.5}, known)
            add_baseline(connection, entity, known["cpu_temp"], hour)
        connection.execute(
            "INSERT INTO sighting SELECT entity_key, 'telemetry', 1, '1.8.3', now(), now() FROM entity"
            " WHERE fleet_id = %s AND device_id IS NOT NULL",
            (FLEET,),
        )
        add_rule(connection, FLEET)
        add_incident(connection, FLEET, ["press-1"], incident_id=INCIDENT)


def shorten(value: Any) -> Any:
    """Cut a text that takes more of an address than the gateway reads: each character may take twelve bytes."""
    return value[: MOST_ADDRESS // 12] if isinstance(value, str) and len(quote(value)) > MOST_ADDRESS else value


@SCHEMA.parametrize()
@hypothesis.settings(max_examples=12, derandomize=True, suppress_health_check=list(hypothesis.HealthCheck))
def test_every_answer_is_one_that_the_document_promises(case: Any, stack: Stack, keys: dict[str, str]) -> None:
    if "fleet" in case.path_parameters:
        # Any other fleet is refused before its question is read.
        case.path_parameters["fleet"] = FLEET
    if "event_id" in case.path_parameters:
        # What is no part of an address never reaches the route; and on days without files there is nothing to read.
        asked = re.sub(r"[\x00-\x1f/]", "-", str(case.path_parameters["event_id"]))
        case.path_parameters["event_id"] = asked.strip(".") or "-"
        case.query = {"from": "2026-01-01", "to": "2026-01-02"} | dict(case.query or {})
    # The gateway refuses a longer address by itself, in words of its own.
    case.query = {name: shorten(value) for name, value in dict(case.query or {}).items()}
    case.call_and_validate(base_url=stack["api"], headers={"x-api-key": keys[case.method]}, checks=PROMISES)


@pytest.mark.parametrize(
    ("path", "name", "status"),
    [
        ("/v1/events", "telemetry-v3.json", 202),
        ("/v1/events", "mixed-batch.json", 207),
        ("/v1/readings", "reading-v2.json", 202),
        ("/v1/activity", "activity-v1.json", 202),
    ],
)
def test_what_is_accepted_is_answered_as_promised_too(
    path: str, name: str, status: int, stack: Stack, keys: dict[str, str]
) -> None:
    # Nothing made up by a schema's rules is good by all of ours: a date must exist, a sensor be declared.
    case = SCHEMA[path]["POST"].Case(body=samples.read(name), media_type="application/json")
    answer = case.call_and_validate(base_url=stack["api"], headers={"x-api-key": keys["POST"]}, checks=PROMISES)
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/v1/fleets", {}),
        ("/v1/fleets/{fleet}", {}),
        ("/v1/fleets/{fleet}/devices", {"limit": 1}),
        ("/v1/fleets/{fleet}/groups", {}),
        ("/v1/fleets/{fleet}/groups/{group}", {}),
        ("/v1/fleets/{fleet}/recent", {"device": "press-1"}),
        ("/v1/fleets/{fleet}/recent", {"group": "hall", "metric": ["cpu_temp", "humidity"]}),
        ("/v1/fleets/{fleet}/rollups", {"device": "press-1", "resolution": "1h", "from": "{day}"}),
        ("/v1/fleets/{fleet}/rollups", {"group": "hall", "resolution": "1h", "from": "{day}"}),
        ("/v1/fleets/{fleet}/rollups", {"resolution": "1h", "from": "{day}"}),
        ("/v1/fleets/{fleet}/baselines", {"device": "press-1"}),
        ("/v1/fleets/{fleet}/counters", {"minutes": 2}),
        ("/v1/fleets/{fleet}/changes", {}),
        ("/v1/statement", {}),
        ("/v1/incidents", {"state": "open", "device": "press-1", "metric": "cpu_temp", "from": "{day}"}),
        ("/v1/incidents/{incident}", {}),
        ("/v1/trace/{event_id}", {"device_id": "press-1"}),
    ],
)
@pytest.mark.usefixtures("numbers")
def test_reads_are_answered_as_promised(path: str, query: dict[str, Any], stack: Stack, keys: dict[str, str]) -> None:
    day = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    asked = {name: day if value == "{day}" else value for name, value in query.items()}
    named = {"fleet": FLEET, "group": "hall", "event_id": "e", "incident": INCIDENT}
    case = SCHEMA[path]["GET"].Case(path_parameters=named, query=asked)
    answer = case.call_and_validate(base_url=stack["api"], headers={"x-api-key": keys["GET"]}, checks=PROMISES)
    assert answer.status_code == 200
    document = answer.json()
    assert document.get("items", document) or path.endswith("changes")
    again = {"x-api-key": keys["GET"], "if-none-match": answer.headers["etag"][0]}
    # An answer that contains the time of its request differs each time.
    if "as_of" not in document and not path.endswith("changes"):
        assert case.call_and_validate(base_url=stack["api"], headers=again, checks=PROMISES).status_code == 304


def test_groups_of_dead_letters_are_answered_as_promised(stack: Stack, keys: dict[str, str]) -> None:
    case = SCHEMA["/v1/dead-letters"]["GET"].Case()
    ends = time.monotonic() + 120
    # They are read once in twenty seconds for all readers together, and once in a minute for a fleet.
    while True:
        answer = case.call_and_validate(base_url=stack["api"], headers={"x-api-key": keys["GET"]}, checks=PROMISES)
        if answer.status_code == 200:
            return
        assert answer.json()["code"] == "quota_letters"
        assert time.monotonic() < ends
        time.sleep(2)
