"""Keys: missing, mistyped, cut, forged, spent, of another place, in the wrong header. The rest is good."""

import base64
from collections.abc import Callable, Iterator
from operator import attrgetter

from sluice.core.api.keys import CHECKSUM_LENGTH, compose_key
from tests.corpus.cases import ACCEPTED, ACTIVITY, EVENTS, READINGS, Case, Headers, Keys, good, one, refused, write

Present = Callable[[Keys], Headers]


def cases() -> Iterator[Case]:
    """Every key that must be refused, and the few that are accepted."""
    for name, present in MISSING.items():
        yield _refused(name, 401, "missing_key", present)
    for name, change in MALFORMED.items():
        yield _refused(name, 401, "malformed_key", _changed(change))
    for name, change in NOT_SENDABLE.items():
        yield _refused(name, 401, "malformed_key", _changed(change), over_http=False)
    for name, text in INVENTED.items():
        yield _refused(name, 401, "malformed_key", _sending(text))
    for name, compose in UNKNOWN.items():
        yield _refused(name, 401, "unknown_key", _composed(compose))
    for contract, route in (("telemetry", EVENTS), ("reading", READINGS), ("activity", ACTIVITY)):
        for field, (status, code) in SPENT.items():
            event = write(good(contract, 1, f"{contract} with a key that is {field}"))
            present = _composed(attrgetter(field))
            yield refused(f"{contract} with the {field} key", event, status, code, route=route, key=present)
    # An unknown caller gets an answer about its key only, with any body.
    for name, body in (("no body", b""), ("no JSON", b"{"), ("too much", b"x" * 1_048_577), ("an empty batch", b"[]")):
        yield refused(f"no key and {name}", body, 401, "missing_key", key=lambda _keys: {})
        yield refused(f"a reader's key and {name}", body, 403, "wrong_role", key=_composed(attrgetter("reader")))
    yield _open("a header in capitals", lambda keys: {"X-API-KEY": keys.device})
    yield _open("another key in another header", lambda keys: {"x-api-key": keys.device, "authorization": keys.reader})


def _refused(name: str, status: int, code: str, present: Present, over_http: bool = True) -> Case:
    body = write(good("telemetry", 1, f"key {name}"))
    return refused(name, body, status, code, key=present, over_http=over_http)


def _open(name: str, present: Present) -> Case:
    return one(name, write(good("telemetry", 1, f"key {name}")), ACCEPTED, key=present)


def _changed(change: Callable[[str], str]) -> Present:
    return lambda keys: {"x-api-key": change(keys.device)}


def _composed(compose: Callable[[Keys], str]) -> Present:
    return lambda keys: {"x-api-key": compose(keys)}


def _sending(text: str) -> Present:
    return lambda _keys: {"x-api-key": text}


def _cut(start: int | None, end: int | None) -> Callable[[str], str]:
    return lambda key: key[start:end]


def _swap(key: str, place: int) -> str:
    return key[:place] + key[place + 1] + key[place] + key[place + 2 :]


def _typo(place: int) -> Callable[[str], str]:
    """Put another character of the alphabet in a place, counted from the end."""
    return lambda key: key[:place] + ("Q" if key[place] != "Q" else "R") + key[len(key) + place + 1 :]


MISSING: dict[str, Present] = {
    "no key": lambda _keys: {},
    "an empty key": lambda _keys: {"x-api-key": ""},
    "the key for a bearer": lambda keys: {"authorization": f"Bearer {keys.device}"},
    "the key for a password": lambda keys: {
        "authorization": "Basic " + base64.b64encode(f"device:{keys.device}".encode()).decode()
    },
    "the key in a cookie": lambda keys: {"cookie": f"x-api-key={keys.device}"},
    "the key in api-key": lambda keys: {"api-key": keys.device},
    "the key in x-apikey": lambda keys: {"x-apikey": keys.device},
    "the key in x_api_key": lambda keys: {"x_api_key": keys.device},
    "the key in x-api-key-": lambda keys: {"x-api-key-": keys.device},
    "the key in the correlation id": lambda keys: {"x-correlation-id": keys.device[:64]},
    "the key as the caller's name": lambda keys: {"user-agent": keys.device},
    "the key in a forwarding header": lambda keys: {"x-forwarded-x-api-key": keys.device},
    "a header that overrides": lambda keys: {"x-http-method-override": "GET", "x-original-x-api-key": keys.device},
}

MALFORMED: dict[str, Callable[[str], str]] = {
    **{f"the key without its last {size}": _cut(None, -size) for size in (1, 2, 6, 20, 49, 65)},
    **{f"the key without its first {size}": _cut(size, None) for size in (1, 4, 9)},
    **{f"a typo in place {place} of the checksum": _typo(place) for place in range(-CHECKSUM_LENGTH, 0)},
    **{f"a typo in place {place} of the secret": _typo(place) for place in (-7, -20, -48, -49)},
    "a typo in the id": _typo(-60),
    "two characters of the secret swapped": lambda key: _swap(key, key.index("corpus")),
    "the key in capitals": str.upper,
    "the key in small letters and capitals swapped": str.swapcase,
    "the key backwards": lambda key: key[::-1],
    "the key twice": lambda key: key + key,
    "two keys with a comma": lambda key: f"{key},{key}",
    "two keys with a space": lambda key: f"{key} {key}",
    "the key in quotes": lambda key: f'"{key}"',
    "the key in brackets": lambda key: f"<{key}>",
    "the key and a comma": lambda key: f"{key},",
    "the key and a semicolon": lambda key: f"{key};",
    "the key and one more character": lambda key: f"{key}0",
    "the key after Bearer": lambda key: f"Bearer {key}",
    "the key after its header's name": lambda key: f"x-api-key: {key}",
    "the key in base64": lambda key: base64.b64encode(key.encode()).decode(),
    "the key with encoded underscores": lambda key: key.replace("_", "%5f"),
    "the key with hyphens": lambda key: key.replace("_", "-"),
    "the key with another prefix": lambda key: f"sk{key[3:]}",
    "the key with a space inside": lambda key: f"{key[:30]} {key[30:]}",
    "the key with a tab inside": lambda key: f"{key[:30]}\t{key[30:]}",
    "the key without its secret": lambda key: key[: key.index("corpus")],
    "the key with an ellipsis": lambda key: f"{key[:10]}...{key[-4:]}",
    "the key with stars": lambda key: f"{key[:10]}{'*' * (len(key) - 10)}",
    "the key with a Cyrillic letter": lambda key: key.replace("c", "\u0441"),
    "the key with a full-width letter": lambda key: key.replace("s", "\uff53", 1),
}  # fmt: skip

# HTTP trims, splits or refuses these before a function sees them; another event source might not.
NOT_SENDABLE: dict[str, Callable[[str], str]] = {
    "the key after a space": lambda key: f" {key}",
    "the key before a space": lambda key: f"{key} ",
    "the key and a line feed": lambda key: f"{key}\n",
    "the key and a line end": lambda key: f"{key}\r\n",
    "the key and a forged header": lambda key: f"{key}\r\nx-role: admin",
    "the key and NUL": lambda key: f"{key}\x00",
    "the key with an escape": lambda key: f"\x1b[0m{key}",
    "the key and bytes of no UTF-8": lambda key: f"{key}\udcff",
    "a space alone": lambda _key: " ",
}

INVENTED = {
    "the word null": "null",
    "the word undefined": "undefined",
    "the word true": "true",
    "a number": "0",
    "a wildcard": "*",
    "a variable": "${API_KEY}",
    "a place to fill in": "<your key>",
    "a prefix": "slc_",
    "a shape of nothing": "slc_____",
    "a key of zeros": "slc_test_" + "0" * 16 + "_" + "0" * 49,
    "an SQL condition": "' OR '1'='1' --",
    "an operator of MongoDB": '{"$ne": null}',
    "a command of Redis": "x\\r\\nFLUSHALL",
    "a wildcard of Redis": "slc_*_*_*",
    "a path": "../../key",
    "a lookup of a logger": "${jndi:ldap://127.0.0.1/a}",
    "a page": "<script>alert(1)</script>",
    "a JSON web token of no algorithm": "eyJhbGciOiJub25lIn0.eyJyb2xlIjoiZGV2aWNlIn0.",
    "a key of AWS": "AKIAIOSFODNN7EXAMPLE",
    "a UUID": "7b1f0f52-0000-4000-8000-000000000001",
    "four thousand characters": "slc_test_" + "x" * 4000,
    "an expression's worst": "slc_" + "a-" * 1000 + "_",
}

UNKNOWN: dict[str, Callable[[Keys], str]] = {
    "a whole key of another stage": lambda _keys: compose_key("elsewhere", "device0000000000", "s" * 43),
    "the key's parts for another stage": lambda keys: compose_key("elsewhere", *_parts(keys.device)),
    "the key's parts for a stage that starts alike": lambda keys: compose_key(f"{keys.stage}x", *_parts(keys.device)),
    "a key that was never made": lambda keys: compose_key(keys.stage, "0" * 16, "0" * 43),
    "a key with another secret": lambda keys: compose_key(keys.stage, _parts(keys.device)[0], "0" * 43),
    "a key with the reader's secret": lambda keys: compose_key(
        keys.stage, _parts(keys.device)[0], _parts(keys.reader)[1]
    ),
    "a key with the reader's id": lambda keys: compose_key(keys.stage, _parts(keys.reader)[0], _parts(keys.device)[1]),
    "a revoked key's id with another secret": lambda keys: compose_key(keys.stage, _parts(keys.revoked)[0], "0" * 43),
    "a key's id in capitals": lambda keys: compose_key(
        keys.stage, _parts(keys.device)[0].upper(), _parts(keys.device)[1]
    ),
}

SPENT = {
    "reader": (403, "wrong_role"),
    "expired": (401, "expired_key"),
    "revoked": (401, "revoked_key"),
    "abroad": (403, "wrong_region"),
}


def _parts(key: str) -> tuple[str, str]:
    """The id and the secret of a key."""
    _, _, key_id, rest = key.split("_")
    return key_id, rest[:-CHECKSUM_LENGTH]
