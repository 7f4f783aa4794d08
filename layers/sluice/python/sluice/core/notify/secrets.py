"""A destination's secret: where its messages go, and the key that proves who sends them."""

from collections.abc import Iterator
from urllib.parse import unquote, unquote_plus, urlsplit

import msgspec

from sluice.core.errors import Poison
from sluice.core.notify.destinations import DestinationKind

PAGERDUTY = "https://events.pagerduty.com/v2/enqueue"
LEAST_KEY = 16
LEAST_HIDDEN = 4
"""A shorter text is no key, and a report would lose its words to it."""
NEEDED: dict[DestinationKind, tuple[str, ...]] = {
    "slack": ("url",),
    "pagerduty": ("routing_key",),
    "https": ("url", "signing_key"),
}


class Secret(msgspec.Struct, frozen=True):
    """The members that we read; others are left alone. No error and no log line names their values."""

    url: str = ""
    routing_key: str = ""
    signing_key: str = ""

    @property
    def hidden(self) -> tuple[str, ...]:
        """What no text may repeat: the keys, and what follows the host in the address, which is a key for many.

        A longer text comes before those that are parts of it.
        """
        written = {self.routing_key, self.signing_key, *_list_parts(self.url)}
        spelled = {form for each in written for form in (each, unquote(each), unquote_plus(each))}
        return tuple(
            sorted((each for each in spelled if len(each) >= LEAST_HIDDEN), key=lambda each: (-len(each), each))
        )


def _list_parts(url: str) -> Iterator[str]:
    """List what may be a key in an address: its path, the end of that, its query and the values there."""
    try:
        parts = urlsplit(url)
    except ValueError:
        yield url
        return
    path = parts.path.strip("/")
    yield path
    # Whoever serves the path may name its end alone. A short one is a word like "alerts".
    yield from (each for each in path.split("/")[-1:] if len(each) >= LEAST_KEY)
    yield parts.query
    for each in parts.query.split("&"):
        # A value without a name is one all the same.
        name, named, value = each.partition("=")
        yield value if named else name


def read_secret(text: str, kind: DestinationKind) -> Secret:
    """Read a secret; raise Poison if it lacks what its kind of destination needs."""
    try:
        secret = msgspec.json.decode(text, type=Secret)
    except msgspec.DecodeError:
        # The decoder's error may quote the secret.
        raise Poison("the secret is no JSON object of texts") from None
    if missing := [name for name in NEEDED[kind] if not getattr(secret, name)]:
        raise Poison(f"the secret has no {' and no '.join(missing)}")
    if kind == "https" and len(secret.signing_key) < LEAST_KEY:
        raise Poison(f"the secret's signing_key has less than {LEAST_KEY} characters")
    if kind == "pagerduty" and not secret.url:
        return msgspec.structs.replace(secret, url=PAGERDUTY)
    return secret
