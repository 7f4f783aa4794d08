"""The three contracts: an event's version, its validation against that version, and its content in our terms.

A version never changes once it is released. An accepted event is therefore always read by the version that it was
accepted under, and not by a newer one.
"""

import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

import fastjsonschema
import msgspec

from sluice.core.errors import Ahead, Poison, Rejection
from sluice.core.events.identity import same_id
from sluice.core.events.units import SeriesBook
from sluice.core.events.violations import list_violations
from sluice.core.times import parse_time

TELEMETRY, READING, ACTIVITY = "telemetry", "reading", "activity"

_CONTRACT = re.compile(r"[a-z][a-z0-9_]{0,31}")

# The namespace of ids derived from content; changing it would make every stored activity a new one.
_DERIVED_IDS = uuid.UUID("5c1ce000-7d6f-5a4b-8c3e-51d1ce000001")


class Facts(msgspec.Struct, frozen=True):
    """What one event says, in one form for all contracts. Metrics are by series, in the series' unit."""

    contract: str
    schema_version: int
    event_id: str
    device_id: str
    event_type: str
    event_time: datetime
    firmware: str | None
    metrics: dict[str, float]


class _Lineage(msgspec.Struct, frozen=True):
    """The series that a version's metric continues, and the unit in which it is sent."""

    series: str
    unit: str


class _Fields:
    """The declared fields of an object, and those of them that are objects with declared fields."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        declared = schema["properties"]
        self._names = frozenset(declared)
        # An object without declared fields may hold anything.
        self._objects = {name: _Fields(below) for name, below in declared.items() if "properties" in below}

    def undeclared(self, document: Mapping[str, Any], place: str = "") -> list[str]:
        """List the fields of a document that are not declared."""
        found: list[str] = []
        if not self._names.issuperset(document):
            found += [f"{place}{name}" for name in document if name not in self._names]
        for name, below in self._objects.items():
            if name in document:
                found += below.undeclared(document[name], f"{place}{name}.")
        return found


class _ContractVersion:
    """One version of a contract with its compiled check and the lineage of its metrics."""

    def __init__(self, schema: Mapping[str, Any], book: SeriesBook) -> None:
        self.schema = schema
        self.contract: str = schema["x-contract"]
        self.number: int = schema["x-version"]
        self.firmware_major: int | None = schema.get("x-firmware-major")
        self.fields = _Fields(schema)
        metrics = schema["properties"].get("metrics", {}).get("properties", {})
        self.lineages = {
            name: _Lineage(metric["x-series"], metric["x-unit"])
            for name, metric in metrics.items()
            if "x-series" in metric
        }
        self.series = frozenset(lineage.series for lineage in self.lineages.values())
        # Metrics that are sent under another name or in another unit than their series has.
        self.moved = {
            name: lineage
            for name, lineage in self.lineages.items()
            if (name, book.series[lineage.series].unit) != (lineage.series, lineage.unit)
        }
        self._verdict: Callable[[Any], Any] = fastjsonschema.compile(dict(schema), use_default=False)

    def check(self, document: dict[str, Any]) -> None:
        """Reject a document that breaks this version, listing how."""
        try:
            self._verdict(document)
        except fastjsonschema.JsonSchemaValueException as error:
            violations = list_violations(self.schema, document)
            first = violations[0].message if violations else error.message
            more = f", and {len(violations) - 1} more" if len(violations) > 1 else ""
            raise Rejection("contract_violation", f"{first}{more}", violations) from error


class Contracts:
    """All versions of all contracts, built once from the schema files."""

    def __init__(self, schemas: Iterable[Mapping[str, Any]], series: SeriesBook) -> None:
        self.book = series
        self._versions: dict[tuple[str, int], _ContractVersion] = {}
        self._by_firmware: dict[int, _ContractVersion] = {}
        for schema in schemas:
            version = _ContractVersion(schema, series)
            self._versions[version.contract, version.number] = version
            if version.firmware_major is not None:
                self._by_firmware[version.firmware_major] = version

    def judge(self, contract: str, fleet_id: str, slice_: bytes, document: object) -> Facts:
        """Check a new event against the version that it names and return its facts, or reject it."""
        if not isinstance(document, dict):
            raise _no_object()
        return self._check(self._find_version(contract, document), fleet_id, slice_, document)

    def read(self, contract: str, number: int, fleet_id: str, slice_: bytes, document: object) -> Facts:
        """Check an accepted event against the version that accepted it; raise Ahead for an unknown version."""
        self.require(contract, number)
        if not isinstance(document, dict):
            raise _no_object()
        try:
            return self._check(self._versions[contract, number], fleet_id, slice_, document)
        except Rejection as rejection:
            # A release may also add series and units, which have no version.
            if rejection.code in ("unknown_sensor_type", "unit_mismatch"):
                self.book.require(document["sensor_type"], document["unit"])
            raise

    def require(self, contract: str, number: int) -> None:
        """Raise Ahead for a version that this release does not know."""
        if (contract, number) in self._versions:
            return
        if not _CONTRACT.fullmatch(contract):
            raise Poison(f"no contract is named {contract[:64]!r}")
        raise Ahead(f"{contract} {number}")

    def _check(self, version: _ContractVersion, fleet_id: str, slice_: bytes, document: dict[str, Any]) -> Facts:
        if version.contract == TELEMETRY:
            _count_metrics(version, document.get("metrics"))
        version.check(document)
        if version.contract == TELEMETRY:
            return self._telemetry(version, document)
        if version.contract == READING:
            return self._reading(version, document)
        return self._activity(version, fleet_id, slice_, document)

    def series_of(self, facts: Facts) -> dict[str, float]:
        """Return an event's metrics as far as they are aggregated: those whose series its version declares."""
        if facts.contract == READING:
            return facts.metrics
        declared = self._versions[facts.contract, facts.schema_version].series
        if facts.metrics.keys() <= declared:
            return facts.metrics
        return {name: value for name, value in facts.metrics.items() if name in declared}

    def series_in(self, number: int, sent: dict[str, float]) -> dict[str, float]:
        """Return the series of accepted telemetry, as `series_of` does, without checking its contract again."""
        version = self._versions[TELEMETRY, number]
        if not version.moved and sent.keys() <= version.series:
            return sent
        return {name: value for name, value in self._in_series(version, sent).items() if name in version.series}

    def undeclared(self, facts: Facts, document: Mapping[str, Any]) -> list[str]:
        """List the fields of an event that its version does not name."""
        return self._versions[facts.contract, facts.schema_version].fields.undeclared(document)

    def schema_for(self, contract: str, document: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Return the schema of the version that a document names, or the contract's newest; None: no such contract."""
        try:
            return self._find_version(contract, dict(document)).schema
        except Rejection:
            numbers = [number for name, number in self._versions if name == contract]
            return self._versions[contract, max(numbers)].schema if numbers else None

    def _find_version(self, contract: str, document: dict[str, Any]) -> _ContractVersion:
        if contract == TELEMETRY:
            return self._find_by_firmware(document.get("device_firmware_version"))
        number = document.get("schema_version", 1)
        # A boolean equals 1 in Python and 1.0 equals 1: neither is a version.
        version = self._versions.get((contract, number)) if type(number) is int else None
        if version is None:
            known = ", ".join(str(n) for c, n in sorted(self._versions) if c == contract)
            raise Rejection(
                "unknown_schema_version", f"schema_version {repr(number)[:64]} is not known; known: {known}"
            )
        return version

    def _find_by_firmware(self, firmware: object) -> _ContractVersion:
        if not isinstance(firmware, str):
            raise Rejection(
                "unknown_firmware", "device_firmware_version decides the contract and must be a string such as '2.4.1'."
            )
        major = firmware.split(".", 1)[0]
        # Bounded before int(): a version of a million digits is cheap to send and expensive to convert.
        version = self._by_firmware.get(int(major)) if major.isascii() and major.isdigit() and len(major) < 6 else None
        if version is None or str(version.firmware_major) != major:
            known = ", ".join(f"{major}.x" for major in sorted(self._by_firmware))
            raise Rejection("unknown_firmware", f"Firmware {firmware[:64]!r} has no schema; known are {known}.")
        return version

    def _telemetry(self, version: _ContractVersion, document: dict[str, Any]) -> Facts:
        return Facts(
            contract=TELEMETRY,
            schema_version=version.number,
            event_id=same_id(document["event_id"]),
            device_id=document["device_id"],
            event_type=TELEMETRY,
            event_time=parse_time(document["timestamp"]),
            firmware=document["device_firmware_version"],
            metrics=self._in_series(version, document["metrics"]),
        )

    def _in_series(self, version: _ContractVersion, sent: dict[str, float]) -> dict[str, float]:
        if not version.moved:
            return {name: float(value) for name, value in sent.items()}
        # A name that today belongs to a series which this version sends under another name is not that series.
        metrics = {
            name: float(value)
            for name, value in sent.items()
            if name not in version.moved and (name in version.lineages or name not in version.series)
        }
        for name, lineage in version.moved.items():
            if name in sent:
                metrics[lineage.series] = self.book.in_series_unit(lineage.series, sent[name], lineage.unit)
        return metrics

    def _reading(self, version: _ContractVersion, document: dict[str, Any]) -> Facts:
        series, value, unit = document["sensor_type"], document["value"], document["unit"]
        return Facts(
            contract=READING,
            schema_version=version.number,
            event_id=same_id(document["event_id"]),
            device_id=document["device_id"],
            event_type=READING,
            event_time=parse_time(document["event_time"]),
            firmware=document.get("firmware_version"),
            metrics={series: self.book.in_series_unit(series, value, unit)},
        )

    def _activity(self, version: _ContractVersion, fleet_id: str, slice_: bytes, document: dict[str, Any]) -> Facts:
        sent = document.get("event_id")
        return Facts(
            contract=ACTIVITY,
            schema_version=version.number,
            event_id=derive_event_id(fleet_id, slice_) if sent is None else same_id(sent),
            device_id=document["source"],
            event_type=document["type"],
            event_time=parse_time(document["timestamp"]),
            firmware=None,
            metrics={},
        )


def _no_object() -> Rejection:
    return Rejection("not_an_object", "An event is a JSON object.")


def _count_metrics(version: _ContractVersion, metrics: object) -> None:
    most: int = version.schema["properties"]["metrics"]["maxProperties"]
    if isinstance(metrics, dict) and len(metrics) > most:
        raise Rejection("too_many_metrics", f"The event has {len(metrics)} metrics; {most} is the most that is taken.")


def derive_event_id(fleet_id: str, slice_: bytes) -> str:
    """Make the id of an event that has none: the same bytes of the same fleet are the same event."""
    return str(uuid.uuid5(_DERIVED_IDS, f"{fleet_id}\n{slice_.decode()}"))
