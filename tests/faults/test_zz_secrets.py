"""Last of the fault tests: no log holds a key, a secret or a device, no store a key, and no role was exceeded."""

import psycopg

from local.admin import Admin
from sluice.core.api.keys import KEYS
from sluice.edge.published import name_in_bucket
from tests.flow.conftest import Stack
from tests.flow.http import post
from tests.privilege.grants import observe
from tests.support import samples
from tests.support.cache import open_cache


def test_no_log_holds_a_key_or_a_device(stack: Stack) -> None:
    device = "canary-device-5f1e"
    bad = samples.read("telemetry-invalid.json") | {"device_id": device}
    good = samples.read("telemetry-v1.json") | {"device_id": device}
    assert post(stack, "/v1/events", samples.encode(bad))[0] == 400
    assert post(stack, "/v1/events", samples.encode(good))[0] == 202
    key = stack["keys"]["device"]
    assert post(stack, "/v1/events", samples.encode(good), key[:-1] + "!")[0] == 401
    canaries = [key, key.rsplit("_", 1)[1], key[:-8], stack["keys"]["reader"], device, "press-000"]
    places = ("logs/*.log", "state/lambdas/*.log", "state/access.log")
    logs = [path for place in places for path in stack.directory.glob(place)]
    written = {path.stem for path in logs if path.stat().st_size}
    assert {"access", "stack", *(stack["functions"][verb] for verb in ("ingest", "archive", "deadletter"))} <= written
    found = {(path.name, canary) for path in logs for canary in canaries if canary.encode() in path.read_bytes()}
    assert found == set()


def test_no_store_holds_a_key(stack: Stack) -> None:
    admin, fleet = Admin.of(stack), "canary-fleet"
    admin.create_fleet(fleet)
    first = admin.create_key(fleet, "device")
    second = admin.rotate_key(fleet, first)
    admin.revoke_key(fleet, first)
    with psycopg.connect(stack["database"]) as connection:
        tables = ("fleet", "api_key", "audit", "answered")
        stored = [
            connection.execute(f"SELECT coalesce(json_agg(each), '[]')::text FROM {table} AS each").fetchone()
            for table in tables
        ]
    with open_cache(stack["cache"]) as cache:
        stored.append(cache.hgetall(f"published:{KEYS}"))
    place = {"Bucket": stack["buckets"]["control"], "Key": name_in_bucket(KEYS)}
    stored.append(stack.stores.s3.get_object(**place)["Body"].read())
    for text in map(str, stored):
        assert len(text) > 100
        for key in (first, second, *stack["keys"].values()):
            assert key not in text
            assert key.rsplit("_", 1)[1] not in text


def test_no_function_asked_for_more_than_its_role_allows(stack: Stack) -> None:
    observed = observe(stack.directory)
    assert observed.refused == set()
    assert {"ingest", "migrate"} <= {each.function for each in observed.used}
