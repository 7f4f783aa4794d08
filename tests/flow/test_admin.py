"""Admins on a running stack: who may do what, a fleet from its creation to its end, and answers as documented."""

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import Any

import hypothesis
import psycopg
import pytest
import schemathesis
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from requests import PreparedRequest
from requests.auth import AuthBase
from schemathesis import checks

from cli.functions import find_function
from cli.stages import Target
from infra.api.roles import AUDIT, CHANGES, ON_CALL, READS, ROUTES
from sluice.core.detect.series_rules import RULES, SeriesRule
from sluice.core.notify.destinations import DESTINATIONS, Destination
from sluice.core.published import read_document
from sluice.edge.published import name_in_bucket
from tests.flow.conftest import ROOT, Stack
from tests.flow.test_openapi import shorten
from tests.support import samples
from tests.support.cache import open_cache

PROMISES = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
CONFIG = schemathesis.Config.from_dict(
    {
        "seed": 20_261_129,
        # Below the gateway's throttle of all admins.
        "rate-limit": "15/s",
        "request-timeout": 35,
        "generation": {"deterministic": True, "database": "none"},
        "phases": {"coverage": {"unexpected-methods": []}},
    }
)
SCHEMA = schemathesis.openapi.from_path(ROOT / "schemas/admin.yaml", config=CONFIG)


class Signed(AuthBase):
    """Signs requests as a role of the stack."""

    def __init__(self, stack: Stack, role: str) -> None:
        login = stack["roles"][role]
        credentials = Credentials(login["access_key"], login["secret_key"])
        self._auth = SigV4Auth(credentials, "execute-api", stack["region"])

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        signed = AWSRequest(request.method, request.url, data=request.body)
        self._auth.add_auth(signed)
        request.headers.update(dict(signed.headers.items()))
        return request


def ask(stack: Stack, route: str, role: str | None) -> int:
    """Send an empty request to a route of what does not exist, and return the status."""
    method, _, path = route.partition(" ")
    named = {
        "fleet": "none",
        "key": "0" * 16,
        "rule": "none",
        "backtest": "none",
        "destination": "none",
        "replay": "none",
        "group": "0" * 16,
        "letter": "0" * 64,
        "redrive": "none",
        "consumer": "none",
        "device": "none",
        "incident": "0" * 24,
        "silence": "0",
    }
    url = stack["api"] + path.format_map(named)
    body = b"" if method == "GET" else b"{}"
    prepared = PreparedRequest()
    prepared.prepare(method, url, {"content-type": "application/json"}, data=body)
    if role is not None:
        prepared = Signed(stack, role)(prepared)
    headers = {name: str(value) for name, value in prepared.headers.items()}
    request = urllib.request.Request(url, body or None, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=35) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.mark.parametrize("route", [*READS, *AUDIT, *ON_CALL, *CHANGES])
def test_a_role_may_use_its_routes_and_no_other(stack: Stack, route: str) -> None:
    assert ask(stack, route, None) == 403
    for role, routes in ROUTES.items():
        time.sleep(0.1)  # all admins together have one throttle
        status = ask(stack, route, role)
        assert (status == 403) == (route not in routes), role
        assert status < 500


def sluice(stack: Stack, *arguments: str) -> Any:
    """Run a command as an admin would, and return its JSON."""
    command = [sys.executable, "-m", "cli", *arguments, "--dir", str(stack.directory), "--json"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, timeout=120)
    assert ran.returncode == 0, ran.stderr.decode()
    return json.loads(ran.stdout)


def post(stack: Stack, key: str) -> int:
    """Post an event with a key, and return the status."""
    event = samples.encode(samples.read("telemetry-v2.json") | {"event_id": str(uuid.uuid4())})
    headers = {"x-api-key": key, "content-type": "application/json"}
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{stack['api']}/v1/events", event, headers)) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def until(stack: Stack, key: str, status: int) -> None:
    """Post until a key gets a status."""
    deadline = time.monotonic() + 60
    while (got := post(stack, key)) != status:
        assert time.monotonic() < deadline, got
        time.sleep(0.2)


def test_a_fleet_from_its_creation_to_its_end(stack: Stack, tmp_path: Path) -> None:
    fleet = f"life-{uuid.uuid4().hex[:8]}"
    assert sluice(stack, "fleet", "create", fleet)["state"] == "active"
    first = sluice(stack, "key", "create", fleet, "--role", "device")
    assert post(stack, first["key"]) == 202
    second = sluice(stack, "key", "rotate", fleet, first["key_id"])
    assert (post(stack, first["key"]), post(stack, second["key"])) == (202, 202)
    sluice(stack, "key", "revoke", fleet, first["key_id"], "--reason", "the test ends it", "--yes")
    until(stack, first["key"], 401)
    assert post(stack, second["key"]) == 202
    sluice(stack, "fleet", "archive", fleet, "--reason", "the test ends it", "--yes")
    until(stack, second["key"], 401)

    listed = sluice(stack, "audit", "list", "--target", f"fleet/{fleet}")["items"]
    assert [json.loads(item["entry"])["action"] for item in listed] == ["fleet.archive", "fleet.create"]
    exported = sluice(stack, "audit", "export", str(tmp_path / "audit.txt"))
    verified = sluice_offline("audit", "verify", str(tmp_path / "audit.txt"))
    assert verified == {"sound": True, "entries": exported["entries"], "last": exported["last"]}
    text = (tmp_path / "audit.txt").read_text()
    assert first["key_id"] in text
    assert first["key"].rpartition("_")[2] not in text


def published(stack: Stack, kind: str, of: type[Any]) -> dict[str, Any]:
    """What of a kind is published in S3, by its id."""
    place = {"Bucket": stack["buckets"]["control"], "Key": name_in_bucket(kind)}
    items = read_document(stack.stores.s3.get_object(**place)["Body"].read(), kind, of).items
    return {getattr(each, f"{kind[:-1]}_id"): each for each in items}


def test_rules_and_destinations_are_published_when_their_changes_are_answered(stack: Stack) -> None:
    fleet, place = f"ruled-{uuid.uuid4().hex[:8]}", f"place-{uuid.uuid4().hex[:8]}"
    sluice(stack, "fleet", "create", fleet, "--device-type", "press")
    threshold = ["--kind", "above", "--metric", "bearing_temp", "--open", "176", "--unit", "degF"]
    assert sluice(stack, "rules", "create", fleet, fleet, *threshold)["open"] == 80
    rule = published(stack, RULES, SeriesRule)[fleet]
    assert (rule.fleet_id, rule.open, rule.fleet_type) == (fleet, 80, "press")
    secret = f"sluice-{stack['stage']}-destinations/{place}"
    sluice(stack, "destinations", "create", place, "--kind", "slack", "--secret", secret)
    assert published(stack, DESTINATIONS, Destination)[place].secret == secret
    why = ["--reason", "the test ends it", "--yes"]
    sluice(stack, "rules", "archive", fleet, fleet, *why)
    sluice(stack, "destinations", "archive", place, *why)
    assert fleet not in published(stack, RULES, SeriesRule)
    assert place not in published(stack, DESTINATIONS, Destination)
    with open_cache(stack["cache"]) as cache:
        for kind, of in ((RULES, SeriesRule), (DESTINATIONS, Destination)):
            shared = read_document(cache.hget(f"published:{kind}", "document"), kind, of)
            assert not {fleet, place} & {getattr(each, f"{kind[:-1]}_id") for each in shared.items}


def test_a_checkpoint_signs_the_audit_and_shows_what_a_superuser_deleted(stack: Stack, tmp_path: Path) -> None:
    sluice(stack, "fleet", "create", f"signed-{uuid.uuid4().hex[:8]}")
    checkpoint = find_function(Target("", stack.directory), "checkpoint")
    assert checkpoint({})["unsigned"] == 0

    export, folder = tmp_path / "audit.txt", tmp_path / "held"
    held = sluice(stack, "audit", "checkpoints", str(folder))
    exported = sluice(stack, "audit", "export", str(export))
    trusted = ["--checkpoints", str(folder), "--public-key", str(folder / "public-key.pem")]
    verified = sluice_offline("audit", "verify", str(export), *trusted)
    assert (verified["sound"], verified["signed"]) == (True, held["newest"])
    assert held["newest"]["number"] == exported["last"]["number"]

    with psycopg.connect(stack["database"], autocommit=True) as superuser:
        (newest,) = superuser.execute(
            "DELETE FROM audit WHERE number = (SELECT max(number) FROM audit) RETURNING number, entry, hash"
        ).fetchall()
        try:
            altered = checkpoint({})["altered"]
        finally:
            superuser.execute("INSERT INTO audit (number, entry, hash) VALUES (%s, %s, %s)", newest)
    assert altered == f"entry {newest[0]}: it is missing, like all after it: a checkpoint knows entry {newest[0]}"
    assert checkpoint({}) == {"signed": None, "unsigned": 0}


def sluice_offline(*arguments: str) -> Any:
    """Run a command that asks no stage."""
    command = [sys.executable, "-m", "cli", *arguments, "--json"]
    return json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=120).stdout)


@SCHEMA.parametrize()
@hypothesis.settings(max_examples=8, derandomize=True, suppress_health_check=list(hypothesis.HealthCheck))
def test_every_answer_is_one_that_the_description_promises(case: Any, stack: Stack) -> None:
    # The gateway refuses a longer address by itself, in words of its own.
    case.query = {name: shorten(value) for name, value in dict(case.query or {}).items()}
    case.call_and_validate(base_url=stack["api"], auth=Signed(stack, "admin"), checks=PROMISES)
