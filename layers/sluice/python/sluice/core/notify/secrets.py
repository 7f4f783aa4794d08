"""A destination's secret: where its messages go, and the key that proves who sends them."""

from urllib.parse import urlsplit

import msgspec

from sluice.core.errors import Poison
from sluice.core.notify.destinations import DestinationKind

PAGERDUTY = "https://events.pagerduty.com/v2/enqueue"
LEAST_KEY = 16
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
        """What no text may repeat: the keys, and the path of the address, which is the key of a Slack webhook."""
        path = urlsplit(self.url).path.strip("/")
        return tuple(each for each in (self.routing_key, self.signing_key, path) if len(each) > 3)


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
