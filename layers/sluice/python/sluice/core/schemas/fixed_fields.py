"""The fields that our own code reads: a version declares them as the code needs them."""

from collections.abc import Mapping

from sluice.core.events.contracts import ACTIVITY, READING, TELEMETRY
from sluice.core.schemas.errors import UnsupportedSchema
from sluice.core.schemas.keywords import NUMBERS
from sluice.core.schemas.versions import FieldSchema, Version

_FIXED: Mapping[str, Mapping[str, tuple[str, bool]]] = {
    TELEMETRY: {
        "event_id": ("string", True),
        "device_id": ("string", True),
        "device_firmware_version": ("string", True),
        "timestamp": ("string", True),
        "metrics": ("object", True),
    },
    READING: {
        "event_id": ("string", True),
        "device_id": ("string", True),
        "event_time": ("string", True),
        "sensor_type": ("string", True),
        "value": ("number", True),
        "unit": ("string", True),
        "firmware_version": ("string", False),
        "schema_version": ("integer", False),
    },
    ACTIVITY: {
        "event_id": ("string", False),
        "type": ("string", True),
        "timestamp": ("string", True),
        "source": ("string", True),
        "schema_version": ("integer", False),
    },
}
"""The fields that our code reads: their type, and whether they are required."""

VERSION_FIELD: Mapping[str, str] = {
    TELEMETRY: "device_firmware_version",
    READING: "schema_version",
    ACTIVITY: "schema_version",
}
"""The field by which an event says its version. It differs between any two versions."""


def check_fixed(version: Version) -> None:
    """Refuse a version whose fields our code could not read."""
    root = version.schema
    if root.type != "object":
        raise UnsupportedSchema("fixed_field", ("type",), "an event is an object")
    for name, (kind, required) in _FIXED[version.contract].items():
        place, field = ("properties", name), root.fields.get(name)
        if field is None or field.type != kind:
            raise UnsupportedSchema("fixed_field", place, f"Sluice reads {name}: declare it with the type {kind}")
        if required and name not in root.required:
            raise UnsupportedSchema("fixed_field", ("required",), f"Sluice reads {name}: it must be required")
        if kind == "string" and field.pattern is None:
            raise UnsupportedSchema("fixed_field", place, f"Sluice reads {name}: it needs a pattern")
    if version.contract == TELEMETRY:
        _check_telemetry(version)
    elif root.fields["schema_version"].values != (version.number,):
        place = ("properties", "schema_version")
        raise UnsupportedSchema("fixed_field", place, f"schema_version must have the const {version.number}")


def _check_telemetry(version: Version) -> None:
    beginning = f"^{version.firmware_major}\\."
    if not str(version.schema.fields["device_firmware_version"].pattern).startswith(beginning):
        firmware = ("properties", "device_firmware_version", "pattern")
        raise UnsupportedSchema("fixed_field", firmware, f"the pattern of x-firmware-major begins with {beginning}")
    metrics, place = version.schema.fields["metrics"], ("properties", "metrics")
    if metrics.size is None or metrics.names is None:
        raise UnsupportedSchema("fixed_field", place, "metrics need maxProperties and propertyNames")
    others = [metrics.others] if isinstance(metrics.others, FieldSchema) else []
    if metrics.others is True or any(metric.type not in NUMBERS for metric in (*others, *metrics.fields.values())):
        raise UnsupportedSchema("fixed_field", place, "every metric is a number, also by additionalProperties")
