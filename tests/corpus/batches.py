"""Bodies by their shape: empty, too many events, too large, a wrong item in an array, one bad event among good ones."""

from collections.abc import Iterator

from tests.corpus.cases import (
    ACCEPTED,
    ACTIVITY,
    EVENTS,
    READINGS,
    Case,
    Event,
    batch,
    good_event,
    one,
    paste,
    refused,
    telemetry,
    unparsable,
    write,
)

MAX_BODY = 1024 * 1024

NO_OBJECTS = {
    "null": b"null",
    "true": b"true",
    "false": b"false",
    "zero": b"0",
    "a number": b"-48.5e3",
    "an empty text": b'""',
    "a text": b'"press-0007"',
    "a text of JSON": b'"{\\"device_id\\": \\"press-0007\\"}"',
}

NO_EVENTS = {
    "an empty object": b"{}",
    "an object of events": b'{"events": [{"device_id": "press-0007"}]}',
    "an object of results": b'{"results": []}',
    "an object of records": b'{"Records": [{"body": "{}"}]}',
    "an event of a cloud": b'{"specversion": "1.0", "type": "t", "source": "/s", "id": "1", "data": {}}',
    "a query": b'{"query": "{ events { id } }"}',
    "a call": b'{"jsonrpc": "2.0", "method": "post", "id": 1}',
}


def cases() -> Iterator[Case]:
    """The shapes, on every route where it matters."""
    yield from _empty()
    yield from _too_much()
    yield from _no_objects()
    yield from _several_texts()
    yield from _one_bad_among_good()
    yield from _twins()


def _empty() -> Iterator[Case]:
    for route in (EVENTS, READINGS, ACTIVITY):
        for name, body in {
            "nothing": b"",
            "a space": b" ",
            "a line end": b"\r\n",
            "every white space": b" \t\r\n" * 4,
            "64 KiB of white space": b" " * 65536,
            "a mebibyte of line feeds": b"\n" * MAX_BODY,
        }.items():
            yield refused(f"{name} to {route}", body, 400, "empty_body", route=route)
        for name, body in {
            "an empty array": b"[]",
            "an empty array with a space": b"[ ]",
            "an empty array in white space": b"\n\t[\r\n]\n",
            "an empty array and 64 KiB of white space": b"[" + b" " * 65536 + b"]",
            "an empty array and a mebibyte of white space": b"[" + b"\t" * (MAX_BODY - 2) + b"]",
        }.items():
            yield refused(f"{name} to {route}", body, 400, "empty_batch", route=route)


def _too_much() -> Iterator[Case]:
    for name, body in {
        "101 events": write([telemetry(f"of 101, {number}") for number in range(101)]),
        "101 nulls": write([None] * 101),
        "101 empty lists": write([[]] * 101),
        "101 bad events and good ones": write([telemetry("of 101, first"), *[{}] * 100]),
        "a thousand empty objects": write([{}] * 1000),
        "half a million numbers": b"[" + b"1," * 500_000 + b"1]",
    }.items():
        yield refused(name, body, 413, "batch_too_large")
    for name, body in {
        "one byte too many": b" " * (MAX_BODY + 1),
        "one byte too many of no JSON": b"{" * (MAX_BODY + 1),
        "one byte too many of no UTF-8": b"\xff" * (MAX_BODY + 1),
        "two mebibytes": write([telemetry("large")] * 100)[:-1] + b" " * 2 * MAX_BODY + b"]",
    }.items():
        yield refused(name, body, 413, "body_too_large")
    # In the gateway's event each NUL takes six bytes as text, which exceeds Lambda's limit.
    yield refused("four million NULs", bytes(4_000_000), 413, "body_too_large", over_http=False)
    hundred = [good_event(f"of 100, {number}") for number in range(100)]
    yield batch("a hundred events", hundred)
    yield batch("a hundred empty objects", [Event(b"{}", "unknown_firmware")] * 100)
    event = good_event("in a mebibyte")
    padded = b"[" + event.body + b" " * (MAX_BODY - 2 - len(event.body)) + b"]"
    yield Case("an event in a body as large as may be", padded, (event,))


def _no_objects() -> Iterator[Case]:
    for name, text in NO_OBJECTS.items():
        for route in (EVENTS, READINGS, ACTIVITY):
            yield one(f"{name} to {route}", text, "not_an_object", route=route)
        yield batch(f"{name} in an array", [Event(text, "not_an_object")])
        yield batch(f"{name} and a good event", [Event(text, "not_an_object"), good_event(f"beside {name}")])
    inner = write([telemetry("nested")])
    for name, text in {
        "an array": b"[]",
        "an array of a good event": inner,
        "an array of arrays": b"[[[[]]]]",
        "an array a hundred deep": b"[" * 100 + b"]" * 100,
    }.items():
        yield batch(f"{name} in an array", [Event(text, "not_an_object")])
        yield batch(f"{name} beside a good event", [Event(text, "not_an_object"), good_event(f"beside {name}")])
    for name, text in NO_EVENTS.items():
        yield one(f"{name} for telemetry", text, "unknown_firmware")
        yield one(f"{name} for a reading", text, "contract_violation", route=READINGS)
        yield one(f"{name} for an activity", text, "contract_violation", route=ACTIVITY)


def _several_texts() -> Iterator[Case]:
    first, second = (write(telemetry(f"several {number}")) for number in (1, 2))
    for name, body in {
        "a line for each event": first + b"\n" + second,
        "two events in a row": first + second,
        "two events with a comma": first + b", " + second,
        "an event and an array": first + b"[" + second + b"]",
        "events with record separators": b"\x1e" + first + b"\n\x1e" + second,
    }.items():
        yield one(name, body, "malformed_json")
    for name, body in {
        "two arrays in a row": b"[" + first + b"][" + second + b"]",
        "a line for each array": b"[" + first + b"]\n[" + second + b"]",
        "an array and an event": b"[" + first + b"] " + second,
        "an array and a comma": b"[" + first + b"],",
        "an array and a NUL": b"[" + first + b"]\x00",
        "a bracket too many": b"[" + first + b"]]",
        "a bracket too few": b"[[" + first + b"]",
        "an array closed as an object": b"[" + first + b"}",
        "a comma at the end": b"[" + first + b",]",
        "a comma at the start": b"[, " + first + b"]",
        "nothing between commas": b"[" + first + b",, " + second + b"]",
        "no comma between events": b"[" + first + b" " + second + b"]",
        "names in an array": b'["a": ' + first + b"]",
        "an ellipsis": b"[" + first + b", ...]",
        "a mebibyte of brackets": b"[" * MAX_BODY,
        "a mebibyte of names": b"[" + b'{"a":' * 200_000,
    }.items():
        yield unparsable(name, body, "malformed_json")


def _one_bad_among_good() -> Iterator[Case]:
    """At any position, it harms no other event."""
    bad = {
        "unknown_firmware": write(telemetry("bad one", device_firmware_version="0.1")),
        "contract_violation": write(telemetry("bad one", metrics={})),
        "duplicate_key": paste("bad one", b'{"a": 1, "a": 1}'),
        "number_out_of_range": paste("bad one", b"1e999"),
        "too_deep": paste("bad one", b"[" * 50 + b"]" * 50),
        "invalid_text": paste("bad one", b'"\\u0000"'),
        "event_too_large": paste("bad one", b'"' + b"x" * 40_000 + b'"'),
        "not_an_object": b"[]",
    }
    for code, event in bad.items():
        for title, place in (("first", 0), ("in the middle", 10), ("last", 20)):
            events = [good_event(f"{code} {title}, {number}") for number in range(20)]
            events.insert(place, Event(event, code))
            yield batch(f"{code} {title} of twenty-one", events)
    yield batch("every code at once", [Event(event, code) for code, event in bad.items()])
    alternating = [
        Event(event, code) if code else good_event(f"alternating {number}")
        for number, (code, event) in enumerate(pair for item in bad.items() for pair in (item, ("", b"")))
    ]
    yield batch("good and bad by turns", alternating)


def _twins() -> Iterator[Case]:
    twin = good_event("twin")
    yield batch("the same event twice", [twin, twin])
    other = Event(write(telemetry("twin", note="another")), ACCEPTED)
    yield batch("an id with two contents", [good_event("twin"), other])
    rejected = Event(write(telemetry("bad twin", device_id="")), "contract_violation")
    yield batch("the same bad event a hundred times", [rejected] * 100)
    spaced = good_event("spaced")
    body = b" \n[\t" + spaced.body + b" \r\n ] \n"
    yield Case("white space around an event", body, (spaced,))
