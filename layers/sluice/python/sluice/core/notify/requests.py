"""The HTTP request that notifies a destination."""

from datetime import datetime

import msgspec

from sluice.core.alerts.messages import AlertMessage
from sluice.core.notify.destinations import DestinationKind
from sluice.core.notify.pagerduty import write_pagerduty
from sluice.core.notify.secrets import Secret
from sluice.core.notify.signed import write_signed
from sluice.core.notify.slack import write_slack

CORRELATION = "x-correlation-id"


class Request(msgspec.Struct, frozen=True):
    """A POST."""

    url: str
    body: bytes
    headers: dict[str, str]


def write_request(message: AlertMessage, kind: DestinationKind, secret: Secret, now: datetime) -> Request:
    """Write the request in the form of the destination's kind."""
    own: dict[str, str] = {}
    match kind:
        case "slack":
            body = msgspec.json.encode(write_slack(message))
        case "pagerduty":
            body = msgspec.json.encode(write_pagerduty(message, secret.routing_key))
        case "https":
            body, own = write_signed(message, secret.signing_key, now)
    headers = {"content-type": "application/json", "user-agent": "Sluice", **own}
    # A header takes no other characters.
    if message.correlation_id.isascii() and message.correlation_id.isprintable() and message.correlation_id:
        headers[CORRELATION] = message.correlation_id
    return Request(secret.url, body, headers)
