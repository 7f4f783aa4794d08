"""Which of 64 shards a device or a fleet belongs to: rolled and locked together, by a hash that is fixed for ever."""

from hashlib import blake2b

SHARDS = 64  # stored with every sample, so that another number would be another database


def shard_of(fleet_id: str, device_id: str | None) -> int:
    """Name the shard of a device, or of a fleet as a whole."""
    name = f"{fleet_id}\0{device_id or ''}"
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest()) % SHARDS
