"""Fields that no contract names: stored byte for byte with the event, and never used."""

from collections.abc import Iterator
from typing import Any

from tests.corpus.cases import ACCEPTED, EVENTS, READINGS, ROUTE_OF, VERSIONS, Case, good, one, telemetry, write

# What we record about an event ourselves; the same fields in a document are ignored.
CLAIMS: dict[str, Any] = {
    "fleet_id": "another-fleet",
    "received_at": "1970-01-01T00:00:00Z",
    "correlation_id": "forged",
    "flags": ["clock_ahead"],
    "event_date": "1999-01-01",
    "event_type": "forged",
    "kafka_topic": "dead-letter",
    "kafka_partition": -1,
    "kafka_offset": 0,
    "contract": "activity",
    "dt": "1999-01-01",
    "role": "admin",
    "status": "accepted",
    "results": [{"index": 0, "status": "accepted"}],
}

NAMES = {
    "an empty name": "",
    "a space": " ",
    "a known name in capitals": "DEVICE_ID",
    "a known name with a space": "device_id ",
    "a known name with a zero-width space": "device\u200b_id",
    "a known name in look-alikes": "d\u0435vice_id",
    "a prototype": "__proto__",
    "a constructor": "constructor",
    "a class": "@class",
    "a type": "$type",
    "a reference": "$ref",
    "a schema": "$schema",
    "a dotted path": "metrics.cpu_temp",
    "a path of JSON": "/metrics/cpu_temp",
    "an index": "0",
    "an emoji": "\U0001f600",
    "64 characters": "n" * 64,
    "64 emoji": "\U0001f600" * 64,
}

VALUES: dict[str, Any] = {
    "null": None,
    "an empty object": {},
    "an empty list": [],
    "a list of everything": [None, True, 0, -0.5, "", [], {}],
    "as deep as may be": [[[[[[["deep"]]]]]]],
    "a thousand members": {f"n{number}": number for number in range(1000)},
    "a long text": "x" * 30_000,
    "a reference to outside": {"$ref": "file:///etc/passwd"},
}

METRICS = {"cpu_temp": 48.5, "vibration_rms": 2.31, "supply_voltage": 24.02}


def cases() -> Iterator[Case]:
    """Unknown fields in every version of every contract, and what one contract names in another that does not."""
    for contract, version in VERSIONS:
        name = f"{contract} {version} that claims what is ours to say"
        yield one(name, write(good(contract, version, name) | CLAIMS), ACCEPTED, route=ROUTE_OF[contract])
        for title, value in VALUES.items():
            name = f"{contract} {version} with {title} in an unknown field"
            document = good(contract, version, name) | {"unknown": value}
            yield one(name, write(document), ACCEPTED, route=ROUTE_OF[contract])
    for title, field in NAMES.items():
        name = f"telemetry with {title} for a field"
        yield one(name, write(telemetry(name, **{field: "kept"})), ACCEPTED)
    yield from _of_another_contract()


def _of_another_contract() -> Iterator[Case]:
    for name, document, route, outcome in (
        ("telemetry that says a schema version", telemetry("a", schema_version="x"), EVENTS, ACCEPTED),
        ("telemetry that says a region of no form", telemetry("b", region="!"), EVENTS, ACCEPTED),
        ("a first reading with a quality of no choice", good("reading", 1, "c") | {"quality": "?"}, READINGS, ACCEPTED),
        ("a reading that leaves its version out", _without("schema_version"), READINGS, ACCEPTED),
        ("a reading sent as telemetry", good("reading", 1, "d"), EVENTS, "unknown_firmware"),
        ("an activity sent as telemetry", good("activity", 1, "e"), EVENTS, "unknown_firmware"),
        ("telemetry sent as a reading", telemetry("f"), READINGS, "contract_violation"),
        ("telemetry sent as an activity", telemetry("g"), ROUTE_OF["activity"], "contract_violation"),
        ("an activity sent as a reading", good("activity", 1, "h"), READINGS, "contract_violation"),
        ("a reading sent as an activity", good("reading", 2, "i"), ROUTE_OF["activity"], "unknown_schema_version"),
        ("a first reading that says it is the second", good("reading", 1, "j") | {"schema_version": 2}, READINGS,
         "contract_violation"),
        ("metrics of a later firmware", telemetry("k", metrics={**METRICS, "bearing_temp": 61.5}), EVENTS, ACCEPTED),
        ("a metric of a later firmware in words", telemetry("l", metrics={**METRICS, "bearing_temp": "warm"}), EVENTS,
         "contract_violation"),
    ):  # fmt: skip
        yield one(name, write(document | {"case": name}), outcome, route=route)


def _without(field: str) -> dict[str, Any]:
    document = good("reading", 2, "without its version")
    del document[field]
    return document
