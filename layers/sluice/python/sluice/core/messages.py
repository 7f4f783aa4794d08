"""What is handed to the brokers: a record before it has a place."""

import msgspec


class Message(msgspec.Struct, frozen=True):
    """One record to be stored."""

    topic: str
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()
