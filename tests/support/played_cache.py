"""A fake cache server: it holds values for ever, and can be taken away."""

from typing import Any

from redis.exceptions import ConnectionError as AwayError


class PlayedServer:
    """What a client of a cluster offers, as far as copies are kept there."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}
        self.seconds: dict[str, int] = {}
        """For how long each value is to be kept."""
        self.fields: dict[str, dict[str, bytes]] = {}
        """Hashes."""
        self.away = False
        self.asked = 0

    def connect(self) -> Any:
        return self

    def get(self, name: str) -> bytes | None:
        if self.away:
            raise AwayError
        return self.held.get(name)

    def hget(self, name: str, field: str) -> bytes | None:
        self.asked += 1
        if self.away:
            raise AwayError
        return self.fields.get(name, {}).get(field)

    def set(self, name: str, value: bytes, ex: int) -> None:
        if self.away:
            raise AwayError
        self.held[name], self.seconds[name] = value, ex
