"""Well-formed JSON that readers disagree on, or that exceeds a limit: duplicates, depth, names, size."""

from collections.abc import Iterator

from tests.corpus.cases import ACCEPTED, Case, Event, among_good, batch, good, one, paste, telemetry, write

MAX_EVENT = 32 * 1024
MAX_DEPTH = 8

TWICE = {
    "a name": b'{"a": 1, "a": 2}',
    "a name with the same value": b'{"a": 1, "a": 1}',
    "a name three times": b'{"a": 1, "a": 2, "a": 3}',
    "a name far apart": b'{"a": 1, ' + b", ".join(b'"n%d": 1' % number for number in range(500)) + b', "a": 1}',
    "a name in escapes": b'{"a": 1, "\\u0061": 2}',
    "both names in escapes": b'{"\\u0061": 1, "\\u0061": 2}',
    "an escaped slash": b'{"a/b": 1, "a\\/b": 2}',
    "an empty name": b'{"": 1, "": 2}',
    "a name with a colon": b'{"a:b": 1, "a:b": 2}',
    "a name before a text of colons": b'{"a": "::", "a": ":"}',
    "a name whose first value is deep": b'{"a": ' + b"[" * 500 + b"]" * 500 + b', "a": 1}',
    "a name in a list": b'[1, {"a": 1, "a": 2}]',
    "a name in lists of lists": b'[[[{"a": 1, "a": 2}]]]',
    "an emoji": '{"\U0001f600": 1, "\U0001f600": 2}'.encode(),
    "an emoji in escapes": '{"\U0001f600": 1, "\\ud83d\\ude00": 2}'.encode(),
    "a prototype": b'{"__proto__": {}, "__proto__": {}}',
    "a name beside hidden colons": b'{"a": 1, "a": "\\u003a", "b": ":"}',
}

ONCE = {
    "a name in two cases": b'{"a": 1, "A": 2}',
    "a name in two normal forms": '{"\u00e9": 1, "e\u0301": 2}'.encode(),
    "a name in two objects": b'[{"a": 1}, {"a": 2}]',
    "a name on two levels": b'{"a": {"a": {"a": 1}}}',
    "colons in texts": b'{"a": "::", "b:": ":", ":": ""}',
    "colons in escapes": b'{"a": "\\u003a\\u003a", "b": "\\\\:"}',
    "a name of white space in two lengths": b'{" ": 1, "  ": 2}',
}


def cases() -> Iterator[Case]:
    """Each at the top, within, in a batch; and the last that is within the bounds."""
    for name, text in TWICE.items():
        yield one(f"{name} twice", paste(f"twice {name}", text), "duplicate_key")
        yield among_good(f"{name} twice, in a batch", paste(f"twice in a batch {name}", text), "duplicate_key")
    for name, text in ONCE.items():
        yield one(f"{name} once", paste(f"once {name}", text), ACCEPTED)
    for contract, version, field, route in (
        ("telemetry", 1, "device_id", "/v1/events"),
        ("telemetry", 2, "metrics", "/v1/events"),
        ("telemetry", 3, "device_firmware_version", "/v1/events"),
        ("reading", 1, "value", "/v1/readings"),
        ("reading", 2, "schema_version", "/v1/readings"),
        ("activity", 1, "source", "/v1/activity"),
    ):
        whole = write(good(contract, version, f"{field} twice"))
        again = whole[:-1] + b', "%s": null}' % field.encode()
        yield one(f"{contract} {version} with {field} twice", again, "duplicate_key", route=route)
    metric = write(telemetry("a metric twice")).replace(b'"cpu_temp": 48.5', b'"cpu_temp": 48.5, "cpu_temp": 12')
    yield one("a metric twice", metric, "duplicate_key")
    yield from _depths()
    yield from _names()
    yield from _sizes()


def _depths() -> Iterator[Case]:
    for kind, opening, closing in (("lists", b"[", b"]"), ("objects", b'{"a": ', b"}"), ("both", b'[{"a": ', b"}]")):
        step = 2 if kind == "both" else 1
        for depth, outcome in ((MAX_DEPTH - step, ACCEPTED), (MAX_DEPTH, "too_deep"), (100, "too_deep")):
            times = depth // step
            nested = opening * times + b"1" + closing * times
            name = f"{kind} {depth + 1} deep"
            yield one(name, paste(name, nested), outcome)
            yield among_good(f"{name}, in a batch", paste(f"{name} in a batch", nested), outcome)
        # Deeper than the parser can go; alone, so that its surroundings are still known.
        times = 2000 // step
        bottomless = paste(f"{kind} 2000 deep", opening * times + b"1" + closing * times)
        yield one(f"{kind} 2000 deep", bottomless, "too_deep")
    metadata = write(good("activity", 1, "deep metadata") | {"metadata": [[[[[[[[{}]]]]]]]]})
    yield one("metadata 10 deep", metadata, "too_deep", route="/v1/activity")


def _names() -> Iterator[Case]:
    for place, text in (
        ("", b'"pasted"'),
        (" in an object", b'{"%s": 1}'),
        (" in a list", b'[[{"%s": 1}]]'),
    ):
        for title, name, outcome in (
            ("64 letters", b"n" * 64, ACCEPTED),
            ("65 letters", b"n" * 65, "name_too_long"),
            ("64 emoji", "\U0001f600".encode() * 64, ACCEPTED),
            ("65 emoji", "\U0001f600".encode() * 65, "name_too_long"),
            ("64 escapes", b"\\u00e4" * 64, ACCEPTED),
            ("65 escapes", b"\\u00e4" * 65, "name_too_long"),
            ("30,000 letters", b"n" * 30_000, "name_too_long"),
        ):
            event = paste(f"name {title}{place}", text.replace(b"%s", name))
            if not place:
                event = event.replace(b'"pasted": "pasted"', b'"' + name + b'": 1')
            yield one(f"a name of {title}{place}", event, outcome)


def _sizes() -> Iterator[Case]:
    for size, outcome in ((MAX_EVENT, ACCEPTED), (MAX_EVENT + 1, "event_too_large"), (100_000, "event_too_large")):
        for title, filling in (("letters", b"x"), ("emoji", "\U0001f600".encode())):
            yield one(f"{size} bytes of {title}", filled(f"{size} {title}", size, filling), outcome)
        event = filled(f"{size} in a batch", size, b"y")
        yield among_good(f"{size} bytes in a batch", event, outcome)
        spaced = write(telemetry(f"{size} spaced"))
        event = spaced[:-1] + b" " * (size - len(spaced)) + b"}"
        yield one(f"{size} bytes, most of them white space", event, outcome)
    most = 10_000
    whole = [Event(filled(f"whole {number}", most, b"z"), ACCEPTED) for number in range(100)]
    yield batch("a hundred events of ten thousand bytes", whole)


def filled(name: str, size: int, filling: bytes) -> bytes:
    """An event of exactly so many bytes."""
    room = size - len(paste(name, b'""'))
    text = filling * (room // len(filling))
    return paste(name, b'"' + text + b"x" * (room - len(text)) + b'"')
