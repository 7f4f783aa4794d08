"""A message for any HTTPS server: the message itself as JSON, signed with a key that only we and the receiver have."""

import hashlib
import hmac
from datetime import datetime

import msgspec

from sluice.core.alerts.messages import AlertMessage

TIMESTAMP, SIGNATURE, MESSAGE = "sluice-timestamp", "sluice-signature", "sluice-message"
SCHEME = "v1"


def write_signed(message: AlertMessage, signing_key: str, now: datetime) -> tuple[bytes, dict[str, str]]:
    """Write the body and its headers. The time is signed too, so that a receiver can refuse a request kept for long."""
    body = msgspec.json.encode(message)
    timestamp = str(int(now.timestamp()))
    return body, {
        TIMESTAMP: timestamp,
        SIGNATURE: f"{SCHEME}={sign(signing_key, timestamp, body)}",
        # The same for every attempt: a receiver that had this one can leave it out.
        MESSAGE: f"{message.incident_id}-{message.sequence}",
    }


def sign(signing_key: str, timestamp: str, body: bytes) -> str:
    """Compute the HMAC-SHA256 of the time, a dot and the body, in hexadecimal."""
    return hmac.new(signing_key.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
