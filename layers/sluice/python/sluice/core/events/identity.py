"""An event's identity: fleet, device and event id, in the sizes that the stores keep."""

import re
import uuid
from hashlib import blake2b

# The namespace of keys for ids that are not UUIDs; changing it would make every such event a new one.
_KEYS = uuid.UUID("5c1ce000-7d6f-5a4b-8c3e-51d1ce000002")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def same_id(event_id: str) -> str:
    """Write a UUID in lower case; any other id stays as it is."""
    lower = event_id.lower()
    # Most ids have no capitals, and need no look at their form.
    return lower if lower != event_id and _UUID.fullmatch(event_id) else event_id


def event_key(event_id: str) -> bytes:
    """Return the 16-byte key of a device's event: its id if that is a UUID, else a UUID derived from it."""
    if len(event_id) == 36 and event_id[8] == event_id[13] == event_id[18] == event_id[23] == "-":
        try:
            key = bytes.fromhex(event_id.replace("-", "", 4))
        except ValueError:
            key = b""
        if len(key) == 16:  # fromhex skips spaces
            return key
    return uuid.uuid5(_KEYS, event_id).bytes


def hash_48(*parts: bytes) -> bytes:
    """Return six bytes: with one more, a member of a set in the cache takes nearly twice the memory."""
    return blake2b(b"\0".join(parts), digest_size=6).digest()
