"""Finding out whose request it is: the same for everyone who asks at the door."""

from sluice.core.api.keys import StoredKey, open_with, parse_key
from sluice.core.api.requests import Request
from sluice.core.errors import Refusal, Retryable
from sluice.edge.api.keystore import KeyStore


def authenticate(request: Request, keys: KeyStore, stage: str, role: str) -> StoredKey:
    """Let a request in by its key, or refuse it with the reason."""
    presented = parse_key(request.key, stage)
    try:
        stored = keys.find(presented.key_id, request.received_at)
    except Retryable as error:
        raise Refusal(429, "keys_unavailable", "The key cannot be checked right now; try again.") from error
    return open_with(presented, stored, role, request.received_at)
