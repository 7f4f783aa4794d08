"""Every field of every version of every contract: left out, and of every type it must not have."""

import json
from collections.abc import Iterator
from typing import Any

from tests.corpus.cases import ROUTE_OF, VERSIONS, Case, good, one, write
from tests.support import samples

SCHEMAS = samples.EVENTS.parent / "schemas"

OF_TYPE: dict[str, Any] = {
    "null": None,
    "boolean": True,
    "number": 7,
    "string": "7",
    "array": [],
    "object": {},
}

# What decides the version is looked at before any schema is, and has a code of its own.
DECIDES = {"telemetry": ("device_firmware_version", "unknown_firmware")} | dict.fromkeys(
    ("reading", "activity"), ("schema_version", "unknown_schema_version")
)


def cases() -> Iterator[Case]:
    """The fields of the event and, in telemetry, of its metrics."""
    for contract, version in VERSIONS:
        schema = json.loads((SCHEMAS / contract / f"{version}.json").read_text())
        yield from _missing(contract, version, schema)
        for field, rule in schema["properties"].items():
            code = _code(contract, field)
            for kind, value in _wrong(rule["type"]):
                name = f"{contract} {version} with {field} of type {kind}"
                yield _event(name, contract, good(contract, version, name) | {field: value}, code)
        if contract == "telemetry":
            yield from _metrics(version, schema["properties"]["metrics"])


def _missing(contract: str, version: int, schema: dict[str, Any]) -> Iterator[Case]:
    for field in schema["required"]:
        if field == "schema_version":
            continue  # a reading that does not say its version is of the first
        name = f"{contract} {version} without {field}"
        document = good(contract, version, name)
        del document[field]
        yield _event(name, contract, document, _code(contract, field))
    name = f"{contract} {version} without anything"
    kept = DECIDES[contract][0]
    document = {field: value for field, value in good(contract, version, name).items() if field in (kept, "region")}
    yield _event(name, contract, document, "contract_violation")


def _metrics(version: int, metrics: dict[str, Any]) -> Iterator[Case]:
    for field in metrics["required"]:
        name = f"telemetry {version} without the metric {field}"
        document = good("telemetry", version, name)
        del document["metrics"][field]
        yield _event(name, "telemetry", document, "contract_violation")
    # The named ones, and one that no version knows: any number will do for it, and nothing else.
    for field in (*metrics["properties"], "oil_pressure"):
        for kind, value in _wrong("number"):
            name = f"telemetry {version} with the metric {field} of type {kind}"
            document = good("telemetry", version, name)
            document["metrics"][field] = value
            yield _event(name, "telemetry", document, "contract_violation")


def _wrong(kind: str) -> Iterator[tuple[str, Any]]:
    right = "number" if kind == "integer" else kind
    yield from ((name, value) for name, value in OF_TYPE.items() if name != right)


def _code(contract: str, field: str) -> str:
    decider, code = DECIDES[contract]
    return code if field == decider else "contract_violation"


def _event(name: str, contract: str, document: dict[str, Any], code: str) -> Case:
    return one(name, write(document), code, route=ROUTE_OF[contract])
