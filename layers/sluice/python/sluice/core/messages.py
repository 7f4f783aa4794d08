"""A record for the brokers, before it has an offset."""

import msgspec


class Message(msgspec.Struct, frozen=True):
    """One record to be stored."""

    topic: str
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()
