"""Bytes that are not quite JSON: alone they are one malformed event, in an array they spoil all of it."""

from collections.abc import Iterator

from tests.corpus.cases import (
    ACTIVITY,
    EVENTS,
    READINGS,
    Case,
    Event,
    good,
    one,
    paste,
    spoiling,
    telemetry,
    unparsable,
    write,
)

# As the value of a field; a reader that is lenient in the named way would take it.
VALUES = {
    "nothing": b"",
    "a bare word": b"word",
    "a word cut short": b"tru",
    "a word too long": b"truely",
    "True of Python": b"True",
    "None of Python": b"None",
    "TRUE in capitals": b"TRUE",
    "undefined of JavaScript": b"undefined",
    "single quotes": b"'text'",
    "back quotes": b"`text`",
    "triple quotes": b'"""text"""',
    "an unclosed text": b'"text',
    "an unopened text": b'text"',
    "an unescaped quote": b'"a "quoted" word"',
    "a raw line feed": b'"two\nlines"',
    "a raw carriage return": b'"two\rlines"',
    "a raw tab": b'"a\ttab"',
    "a raw NUL": b'"a\x00b"',
    "a raw escape": b'"a\x1bb"',
    "an unknown escape": b'"\\x41"',
    "an escaped single quote": b'"it\\\'s"',
    "an escaped line end": b'"two\\\nlines"',
    "an octal escape": b'"\\101"',
    "half an escape": b'"\\u00"',
    "an escape with no hex": b'"\\u00zz"',
    "an escape in capitals": b'"\\U00000041"',
    "an escape with braces": b'"\\u{41}"',
    "a lone backslash": b'"\\"',
    "an array without its end": b"[1, 2",
    "an array without its start": b"1, 2]",
    "an array ended as an object": b"[1, 2}",
    "a comma at an array's end": b"[1, 2,]",
    "a comma at an array's start": b"[, 1]",
    "two commas": b"[1,, 2]",
    "no comma": b"[1 2]",
    "a semicolon": b"[1; 2]",
    "a colon in an array": b"[1: 2]",
    "a comma at an object's end": b'{"a": 1,}',
    "a comma at an object's start": b'{, "a": 1}',
    "two colons": b'{"a":: 1}',
    "no colon": b'{"a" 1}',
    "an equals sign": b'{"a" = 1}',
    "an arrow": b'{"a" => 1}',
    "a name without quotes": b"{a: 1}",
    "a name in single quotes": b"{'a': 1}",
    "a number for a name": b"{1: 1}",
    "null for a name": b"{null: 1}",
    "a name without a value": b'{"a"}',
    "a name and a colon": b'{"a":}',
    "a value without a name": b"{: 1}",
    "an object ended as an array": b'{"a": 1]',
    "a block comment": b"/* why */ 1",
    "a line comment": b"1 // why\n",
    "a hash comment": b"1 # why\n",
    "a tuple": b"(1, 2)",
    "a set": b"{1, 2}",
    "a regular expression": b"/a/",
    "a function call": b"Date(0)",
    "an expression": b"1 + 1",
    "a template": b"{{ value }}",
    "a spread": b"...a",
    "a form feed between tokens": b"\x0c1",
    "a vertical tab between tokens": b"\x0b1",
    "a no-break space between tokens": b"\xc2\xa01",
    "a line separator between tokens": b"\xe2\x80\xa81",
    "a byte order mark between tokens": b"\xef\xbb\xbf1",
    "a byte of binary": b"\x01",
}

# The whole body, broken by a device or by a proxy. None begins an array.
BODIES = {
    "a word cut short": b"nul",
    "a lone quote": b'"',
    "a lone brace": b"{",
    "a closing brace": b"}",
    "a closing bracket": b"]",
    "a lone comma": b",",
    "a lone colon": b":",
    "a lone minus": b"-",
    "a lone backslash": b"\\",
    "a NUL": b"\x00",
    "a page of HTML": b"<!doctype html><html><body>502 Bad Gateway</body></html>",
    "a document of XML": b'<?xml version="1.0"?><event id="1"/>',
    "an XML entity bomb": b'<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;">]><a>&c;</a>',
    "YAML": b"device_id: press-0007\nmetrics:\n  cpu_temp: 48.5\n",
    "TOML": b'device_id = "press-0007"\n',
    "CSV": b"device_id,cpu_temp\npress-0007,48.5\n",
    "a form": b"device_id=press-0007&cpu_temp=48.5",
    "an encoded form": b"%7B%22device_id%22%3A%22press-0007%22%7D",
    "base64": b"eyJkZXZpY2VfaWQiOiAicHJlc3MtMDAwNyJ9",
    "a JSON web token": b"eyJhbGciOiJub25lIn0.e30.",
    "line protocol": b"press,id=7 cpu_temp=48.5 1795167000",
    "msgpack in ASCII": b"\x01a\x01",
    "an SSE frame": b'data: {"device_id": "press-0007"}\n\n',
    "a guard against inclusion": b")]}',\n{}",
    "a record separator first": b"\x1e{}",
    "a file name": b"@event.json",
    "a request of its own": b"POST /v1/events HTTP/1.1\r\nhost: x\r\n\r\n{}",
}


def cases() -> Iterator[Case]:
    """Each fault alone on a route, and in an array between two good events."""
    routes = (("telemetry", 1, EVENTS), ("reading", 1, READINGS), ("activity", 1, ACTIVITY))
    for number, (name, text) in enumerate(VALUES.items()):
        contract, version, route = routes[number % len(routes)]
        yield one(f"{name}, alone", paste(f"syntax {name}", text, contract, version), "malformed_json", route=route)
        yield spoiling(f"{name}, in an array", paste(f"syntax {name} in an array", text))
    for number, (name, body) in enumerate(BODIES.items()):
        event = Event(body.strip(b" \t\r\n"), "malformed_json")
        yield Case(f"{name} for a body", body, (event,), route=routes[number % len(routes)][2])
    yield from _around_an_event()
    yield from _cut_short()


def _around_an_event() -> Iterator[Case]:
    for name, before, after in (
        ("a byte order mark first", b"\xef\xbb\xbf", b""),
        ("a no-break space first", b"\xc2\xa0", b""),
        ("a form feed first", b"\x0c", b""),
        ("a NUL at the end", b"", b"\x00"),
        ("a comma at the end", b"", b","),
        ("a semicolon at the end", b"", b";"),
        ("a brace too many", b"", b"}"),
        ("a bracket too many", b"", b"]"),
        ("a callback around it", b"callback(", b")"),
        ("an assignment before it", b"event = ", b""),
        ("a comment before it", b"// event\n", b""),
        ("a comment after it", b"", b" /* end */"),
        ("a length before it", b"123:", b","),
        ("a second document after it", b"", b" {}"),
        ("a second line after it", b"", b"\n{}"),
        ("an array after it", b"", b" []"),
    ):
        body = before + write(telemetry(f"around {name}")) + after
        yield one(f"an event with {name}", body, "malformed_json")


def _cut_short() -> Iterator[Case]:
    """A connection may break anywhere. A truncated body must never pass for a shorter good one."""
    for contract, version, route in (("telemetry", 3, EVENTS), ("reading", 2, READINGS), ("activity", 1, ACTIVITY)):
        whole = write(good(contract, version, f"cut {contract}"))
        for percent in (5, 25, 50, 75, 95):
            cut = whole[: len(whole) * percent // 100].rstrip()
            yield one(f"{contract} cut at {percent} percent", cut, "malformed_json", route=route)
        yield one(f"{contract} without its last byte", whole[:-1], "malformed_json", route=route)
    array = b"[" + b", ".join(write(telemetry(f"cut array {number}")) for number in range(3)) + b"]"
    for percent in (10, 40, 70, 99):
        body = array[: len(array) * percent // 100].rstrip()
        yield unparsable(f"an array cut at {percent} percent", body, "malformed_json")
