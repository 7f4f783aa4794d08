"""Numbers: what is no number in JSON, what no double holds, and what looks odd and is valid."""

from collections.abc import Iterator

from tests.corpus.cases import (
    ACCEPTED,
    ACTIVITY,
    READINGS,
    Case,
    among_good,
    good,
    one,
    paste,
    spoiling,
    telemetry,
    write,
)

NO_NUMBERS = {
    "a leading zero": b"01",
    "leading zeros": b"007",
    "a negative leading zero": b"-01",
    "a plus sign": b"+1",
    "no digit before the point": b".5",
    "no digit after the point": b"1.",
    "a lone point": b".",
    "a lone minus": b"-",
    "a minus and a point": b"-.5",
    "two minuses": b"--1",
    "a minus apart": b"- 1",
    "a minus behind": b"1-",
    "a typographic minus": "\u22121".encode(),
    "an exponent without digits": b"1e",
    "an exponent without digits but a sign": b"1e+",
    "an exponent alone": b"e5",
    "a broken exponent": b"1e1.5",
    "two exponents": b"1e1e1",
    "two points": b"1.2.3",
    "a decimal comma": b"48,5",
    "a thousands space": b"1 000",
    "a thousands apostrophe": b"1'000",
    "an underscore": b"1_000",
    "hexadecimal": b"0x1F",
    "octal": b"0o17",
    "binary": b"0b11",
    "a hexadecimal float": b"0x1p4",
    "a suffix of C": b"1.0f",
    "a suffix of Python": b"1L",
    "a suffix of JavaScript": b"1n",
    "a unit": b"48.5C",
    "a percent sign": b"50%",
    "a currency": b"$1",
    "a fraction": b"1/2",
    "a fraction's character": "\u00bd".encode(),
    "Arabic digits": "\u0664\u0668".encode(),
    "full-width digits": "\uff14\uff18".encode(),
    "a superscript": "10\u00b2".encode(),
    "an infinity sign": "\u221e".encode(),
    "nan in small letters": b"nan",
    "inf in small letters": b"inf",
    "a signed NaN": b"-NaN",
    "a plus and Infinity": b"+Infinity",
    "a NaN of C#": b"1.#QNAN",
    "the nil of Go": b"<nil>",
}

# Readers of other languages take these words for numbers; nothing can be computed with them.
NO_VALUES = {"NaN": b"NaN", "Infinity": b"Infinity", "minus Infinity": b"-Infinity"}

TOO_LARGE = {
    "one over the bound": b"1000000000000001",
    "one under the lower bound": b"-1000000000000001",
    "a fraction over the bound": b"1000000000000000.5",
    "ten times the bound": b"1e16",
    "ten times the lower bound": b"-1E+16",
    "two to the 53rd": b"9007199254740992",
    "what doubles cannot tell from its neighbour": b"9007199254740993",
    "two to the 63rd": b"9223372036854775808",
    "minus two to the 63rd": b"-9223372036854775808",
    "one under minus two to the 63rd": b"-9223372036854775809",
    "two to the 64th": b"18446744073709551616",
    "the largest double": b"1.7976931348623157e308",
    "the first beyond doubles": b"1.8e308",
    "beyond doubles": b"1e309",
    "far beyond doubles": b"1e999",
    "far below doubles": b"-1e999",
    "an exponent of eleven digits": b"1e99999999999",
    "an exponent beyond any integer": b"1e9223372036854775808",
    "an exponent with leading zeros": b"1e+00000000000400",
    "a small number with a vast exponent": b"0.0001e400",
    "four hundred digits": b"9" * 400,
    "minus four hundred digits": b"-" + b"9" * 400,
    "more digits than Python converts": b"9" * 4301,
    "twenty thousand digits": b"9" * 20_000,
    "four hundred digits and a point": b"9" * 400 + b".5",
}

GOOD = {
    "zero": b"0",
    "minus zero": b"-0",
    "minus zero as a float": b"-0.0",
    "zero with an exponent": b"0e5",
    "zero with a vast exponent": b"0e999",
    "the bound": b"1000000000000000",
    "the bound as a float": b"1e15",
    "the lower bound": b"-1E+15",
    "the bound in small steps": b"0.000001e21",
    "the smallest double": b"5e-324",
    "less than the smallest double": b"1e-999",
    "three hundred zeros after the point": b"0." + b"0" * 300 + b"1",
    "thirty digits after the point": b"48.500000000000000000000000000001",
    "digits that an exponent takes back": b"48500000000000000000000e-21",
    "a third": b"0.3333333333333333",
    "trailing zeros": b"48.5000",
    "a capital exponent": b"4.85E1",
}


def cases() -> Iterator[Case]:
    """Each number as a metric, as a reading's value, where no contract looks, and in a batch."""
    for name, text in NO_NUMBERS.items():
        yield one(f"{name} for a metric", metric(f"no number {name}", text), "malformed_json")
        yield spoiling(f"{name} in a batch", metric(f"no number {name} in a batch", text))
    for name, text in NO_VALUES.items():
        yield one(f"{name} for a metric", metric(f"no value {name}", text), "number_out_of_range")
        yield one(f"{name} for a reading", value(f"no value {name}", text), "number_out_of_range", route=READINGS)
        yield one(f"{name} unnamed", paste(f"no value {name} unnamed", text), "number_out_of_range")
        # In an array the end of such a text is unknown.
        yield spoiling(f"{name} in a batch", metric(f"no value {name} in a batch", text))
    for name, text in TOO_LARGE.items():
        yield one(f"{name} for a metric", metric(f"large {name}", text), "number_out_of_range")
        yield one(f"{name} for a reading", value(f"large {name}", text), "number_out_of_range", route=READINGS)
        nested = paste(f"large {name} nested", b'{"a": [1, ' + text + b"]}", "activity")
        yield one(f"{name} nested where no contract looks", nested, "number_out_of_range", route=ACTIVITY)
        yield among_good(f"{name} in a batch", metric(f"large {name} in a batch", text), "number_out_of_range")
    for name, text in GOOD.items():
        yield one(f"{name} for a metric", metric(f"good {name}", text), ACCEPTED)
        yield one(f"{name} for a reading", value(f"good {name}", text), ACCEPTED, route=READINGS)


def metric(name: str, text: bytes) -> bytes:
    """A telemetry event with this text for its temperature."""
    return write(telemetry(f"number {name}")).replace(b"48.5", text)


def value(name: str, text: bytes) -> bytes:
    """A reading with this text for its value, in the unit of its series so that nothing is converted."""
    return write(good("reading", 1, f"number {name}") | {"unit": "degC"}).replace(b"70.7", text)
