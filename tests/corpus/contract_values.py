"""Every rule of every contract about values: patterns, lengths, choices, versions, units and series."""

from collections.abc import Iterator, Mapping
from typing import Any

from tests.corpus.cases import ACCEPTED, EVENTS, READINGS, ROUTE_OF, Case, among_good, good, one, telemetry, write

UNPRINTABLE = {
    "nothing": "",
    "a space": " ",
    "a space at the start": " press",
    "a space at the end": "press ",
    "a tab at the start": "\tpress",
    "a line feed at the end": "press\n",
    "a delete": "pr\x7fess",
    "a control of eight bits": "pr\x85ess",
    "a no-break space": "pr\xa0ess",
    "a zero-width space alone": "\u200b",
    "a left-to-right override": "pr\u202dess",
    "a byte order mark": "press\ufeff",
}

NO_UUID = {
    "nothing": "",
    "no hyphens": "7b1f0f52000040008000000000000001",
    "braces": "{7b1f0f52-0000-4000-8000-000000000001}",
    "a URN": "urn:uuid:7b1f0f52-0000-4000-8000-000000000001",
    "a digit too few": "7b1f0f52-0000-4000-8000-00000000001",
    "a digit too many": "7b1f0f52-0000-4000-8000-0000000000001",
    "hyphens elsewhere": "7b1f0f5-20000-4000-8000-000000000001",
    "underscores": "7b1f0f52_0000_4000_8000_000000000001",
    "a letter beyond f": "7b1f0f52-0000-4000-8000-00000000000g",
    "a letter O": "7b1f0f52-0000-4000-8000-00000000000O",
    "full-width digits": "7b1f0f52-0000-4000-8000-00000000000\uff11",
    "a typographic hyphen": "7b1f0f52\u20100000-4000-8000-000000000001",
    "a space at the start": " 7b1f0f52-0000-4000-8000-000000000001",
    "a line feed at the end": "7b1f0f52-0000-4000-8000-000000000001\n",
    "two": "7b1f0f52-0000-4000-8000-000000000001,7b1f0f52-0000-4000-8000-000000000002",
    "a ULID": "01JD3Q5W9RX0V7W8Y9Z0A1B2C3",
    "a serial number": "1",
}

# A known major version with an invalid rest.
NO_VERSION = {
    "a major version alone": "{}",
    "a point and nothing": "{}.",
    "a letter": "{}.x",
    "a point at the end": "{}.4.",
    "four parts": "{}.4.2.1",
    "a space at the end": "{}.4.2 ",
    "a line feed at the end": "{}.4.2\n",
    "a hyphen and nothing": "{}.4.2-",
    "a long suffix": "{}.4.2-" + "a" * 33,
    "a slash in the suffix": "{}.4.2-a/b",
    "ten digits": "{}.1234567890",
    "a negative part": "{}.-1",
    "Arabic digits": "{}.\u0664",
}

NO_FIRMWARE = {
    "nothing": "",
    "a point": ".",
    "the version before the first": "0.9",
    "the version after the last": "4.0.0",
    "a far version": "99999.0",
    "a version of a million": "1000000.0",
    "a version of thirty thousand digits": "1" * 30_000 + ".0",
    "a leading zero": "01.4",
    "a leading v": "v1.4",
    "a leading space": " 1.4",
    "a plus": "+1.4",
    "a minus": "-1.4",
    "a comma": "1,4",
    "an exponent": "1e0.4",
    "an underscore": "1_0.4",
    "an Arabic digit": "\u0661.4",
    "a superscript": "\u00b9.4",
    "a full-width digit": "\uff11.4",
    "a word": "latest",
}

NO_SCHEMA_VERSION = {
    "nothing": "",
    "a text": "1",
    "zero": 0,
    "minus one": -1,
    "a fraction": 1.5,
    "one as a float": 1.0,
    "three": 3,
    "a large one": 10**15,
    "true": True,
    "false": False,
    "null": None,
    "a list": [1],
    "an object": {"major": 1},
    "a long text": "\x7f" * 30_000,
}

RULED: Mapping[str, Mapping[str, Any]] = {
    "unit": {"nothing": "", "17 characters": "x" * 17, "a tab": "\t", "a line feed at the end": "degC\n"},
    "region": {
        "nothing": "",
        "capitals": "EU-WEST-1",
        "a space": "eu west",
        "an underscore": "eu_west_1",
        "33 characters": "e" * 33,
        "a slash": "eu/west",
        "an umlaut": "\u00fcber",
        "a line feed at the end": "eu-west-1\n",
    },
    "quality": {"nothing": "", "capitals": "GOOD", "another word": "great", "a space": "good ", "a number": 1},
}

NO_SERIES = ("temprature", "Temperature", "TEMPERATURE", "temp", "temperature.inside", "température", "7")

# The pairs say which unit is sent for which series; each is of another quantity, or of none.
NO_UNIT = (
    ("temperature", "V"),
    ("temperature", "kPa"),
    ("temperature", "celsius"),
    ("temperature", "°C"),
    ("temperature", "degc"),
    ("temperature", "k"),
    ("temperature", "degC "),
    ("pressure", "degC"),
    ("pressure", "psi?"),
    ("vibration", "mm"),
    ("voltage", "A"),
    ("voltage", "MV"),
    ("current", "V"),
    ("power", "count"),
    ("co2", "%"),
    ("rotation", "Hz?"),
    ("battery", "V"),
    ("pulses", "ppm"),
)


def cases() -> Iterator[Case]:
    """One wrong value at a time, in every contract that has the rule."""
    for contract, version, field, longest in (
        *(("telemetry", version, "device_id", 128) for version in (1, 2, 3)),
        *(("reading", 1, field, longest) for field, longest in (("event_id", 128), ("device_id", 128))),
        *(("reading", 2, field, longest) for field, longest in (("sensor_type", 64), ("firmware_version", 64))),
        *(("activity", 1, field, longest) for field, longest in (("event_id", 128), ("type", 64), ("source", 128))),
    ):
        too_long = {f"{longest + 1} letters": "x" * (longest + 1), f"{longest + 1} emoji": "\U0001f600" * (longest + 1)}
        yield from _wrong(contract, version, field, UNPRINTABLE | too_long, "contract_violation")
    for version in (1, 2, 3):
        yield from _wrong("telemetry", version, "event_id", NO_UUID, "contract_violation")
        versions = {name: text.format(version) for name, text in NO_VERSION.items()}
        yield from _wrong("telemetry", version, "device_firmware_version", versions, "contract_violation")
    yield from _wrong("telemetry", 1, "device_firmware_version", NO_FIRMWARE, "unknown_firmware")
    for contract, version in (("reading", 1), ("reading", 2), ("activity", 1)):
        yield from _wrong(contract, version, "schema_version", NO_SCHEMA_VERSION, "unknown_schema_version")
    yield from _wrong("activity", 1, "schema_version", {"two": 2}, "unknown_schema_version")
    for field, values in RULED.items():
        yield from _wrong("reading", 2, field, values, "contract_violation")
    for series in NO_SERIES:
        yield from _wrong("reading", 1, "sensor_type", {repr(series): series}, "unknown_sensor_type")
    for series, unit in NO_UNIT:
        name = f"{series} in {unit!r}"
        document = good("reading", 2, name) | {"sensor_type": series, "unit": unit}
        yield one(name, write(document), "unit_mismatch", route=READINGS)
    yield from _metric_names()
    yield from _every_code_in_a_batch()


def _wrong(contract: str, version: int, field: str, values: Mapping[str, Any], code: str) -> Iterator[Case]:
    for name, value in values.items():
        title = f"{contract} {version} with {name} for {field}"
        event = write(good(contract, version, title) | {field: value})
        yield one(title, event, code, route=ROUTE_OF[contract])


def _metric_names() -> Iterator[Case]:
    for version in (1, 2, 3):
        there = len(good("telemetry", version, "")["metrics"])
        for title, names, outcome in (
            *((name, [text], "contract_violation") for name, text in UNPRINTABLE.items()),
            ("65 letters", ["x" * 65], "name_too_long"),
            ("64 letters", ["x" * 64], ACCEPTED),
            ("64 emoji", ["\U0001f600" * 64], ACCEPTED),
            ("one of 65 names", [f"m{number}" for number in range(65 - there)], "too_many_metrics"),
            ("one of 64 names", [f"m{number}" for number in range(64 - there)], ACCEPTED),
        ):
            document = good("telemetry", version, f"metric names {title}")
            document["metrics"] |= dict.fromkeys(names, 1.5)
            yield one(f"telemetry {version} with {title} for a metric", write(document), outcome, route=EVENTS)


def _every_code_in_a_batch() -> Iterator[Case]:
    faults: dict[str, dict[str, Any]] = {
        "contract_violation": {"device_id": ""},
        "unknown_firmware": {"device_firmware_version": "9.0"},
        "invalid_time": {"timestamp": "2026-02-30T00:00:00Z"},
        "invalid_text": {"note": "\x00"},
        "number_out_of_range": {"note": 10**16},
        "name_too_long": {"n" * 65: 1},
    }
    for code, changes in faults.items():
        yield among_good(f"{code} in a batch", write(telemetry(f"batched {code}", **changes)), code)
