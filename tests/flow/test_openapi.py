"""The OpenAPI document and the running API agree: what is made of the one, the other answers as promised."""

from pathlib import Path
from typing import Any

import hypothesis
import psycopg
import pytest
import schemathesis
from schemathesis import checks

from local.seed import make_key
from tests import samples
from tests.flow.conftest import Stack

OPENAPI = Path(__file__).parents[2] / "schemas/openapi.yaml"
FLEET = "openapi"

CONFIG = schemathesis.Config.from_dict(
    {
        "seed": 20_261_120,
        # Below the gateway's throttles, whose answers are not ours.
        "rate-limit": "40/s",
        "generation": {"deterministic": True, "database": "none"},
        "phases": {"coverage": {"unexpected-methods": []}},
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
def key(stack: Stack) -> str:
    """A key whose quotas are no bound here: nearly all that is made up is rejected."""
    with psycopg.connect(stack["database"]) as connection:
        connection.execute(
            "INSERT INTO fleet (fleet_id, events_per_second, rejects_per_second) VALUES (%s, 1e6, 1e6)", (FLEET,)
        )
        return make_key(connection, stack["stage"], FLEET, "device")


@SCHEMA.parametrize()
@hypothesis.settings(
    max_examples=50, derandomize=True, deadline=None, suppress_health_check=list(hypothesis.HealthCheck)
)
def test_every_answer_is_one_that_the_document_promises(case: Any, stack: Stack, key: str) -> None:
    case.call_and_validate(base_url=stack["api"], headers={"x-api-key": key}, checks=PROMISES)


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
    path: str, name: str, status: int, stack: Stack, key: str
) -> None:
    # Nothing made up by a schema's rules is good by all of ours: a date must exist, a sensor be declared.
    case = SCHEMA[path]["POST"].Case(body=samples.read(name), media_type="application/json")
    answer = case.call_and_validate(base_url=stack["api"], headers={"x-api-key": key}, checks=PROMISES)
    assert answer.status_code == status
