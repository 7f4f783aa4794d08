"""Correlation ids: they travel to the raw store and into logs, so what could forge a line is replaced, not refused."""

from collections.abc import Iterator

from tests.corpus.cases import Case, good_event

SENDABLE = {
    "65 characters": "x" * 65,
    "two thousand characters": "x" * 2000,
    "two words": "two words",
    "a tab": "a\tb",
    "quotes": '"}{"level":"ERROR"',
    "an encoded line end": "a%0d%0ab",
    "a script": "<script>alert(1)</script>",
    "an SQL text's end": "'; DROP TABLE fleet; --",
    "a formula": "=1+1|cmd",
    "a lookup of a logger": "${jndi:ldap://127.0.0.1/a}",
    "an umlaut": "ger\u00e4t",
    "an emoji": "\U0001f600",
    "a comma": "a,b",
    "nothing": "",
}

NOT_SENDABLE = {
    "a line feed": "a\nb",
    "a line feed at the end": "site-7\n",
    "a line end": "a\r\nset-cookie: x=y",
    "NUL": "a\x00b",
    "an escape": "a\x1b[31mb",
    "bytes of no UTF-8": "a\udcff",
}


def cases() -> Iterator[Case]:
    """The events are good and accepted; only their correlation id is refused."""
    for texts, over_http in ((SENDABLE, True), (NOT_SENDABLE, False)):
        for name, text in texts.items():
            event = good_event(f"correlation {name}")
            headers = (("content-type", "application/json"), ("x-correlation-id", text))
            yield Case(f"{name} for a correlation id", event.body, (event,), headers=headers, over_http=over_http)
