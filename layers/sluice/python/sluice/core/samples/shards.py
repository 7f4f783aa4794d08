"""The 64 shards of devices and fleets: a shard is rolled and locked as one. The hash must never change."""

from hashlib import blake2b

SHARDS = 64  # stored with every sample: changing it needs a new database


def shard_of(fleet_id: str, device_id: str | None) -> int:
    """Return the shard of a device, or of a fleet as a whole."""
    name = f"{fleet_id}\0{device_id or ''}"
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest()) % SHARDS
