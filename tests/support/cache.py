"""A client of a stack's cache that closes its connections."""

from urllib.parse import urlsplit

from redis.cluster import RedisCluster


def open_cache(url: str) -> RedisCluster:
    """Connect by host and port: a client made `from_url` leaves its connections open when it is closed."""
    address = urlsplit(url)
    return RedisCluster(host=str(address.hostname), port=int(address.port or 0))
