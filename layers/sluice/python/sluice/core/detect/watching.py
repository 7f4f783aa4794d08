"""Names in Valkey that detect, learn and alert share: which series are watched, and where statistics are.

A hash for each shard. The braces keep both hashes of a shard on one node of the cluster.
"""


def name_device(fleet_id: str, device_id: str) -> str:
    """Name a device among those of all fleets: the field of both hashes, and the key of its records in alert-events."""
    return f"{fleet_id}/{device_id}"


def name_watched(shard: int) -> str:
    """Name the hash from devices to JSON lists of rule ids that alert writes."""
    return f"watched:{{{shard}}}"


def name_statistics(shard: int) -> str:
    """Name the hash from devices to their statistics that learn writes."""
    return f"statistics:{{{shard}}}"
