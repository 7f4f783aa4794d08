"""A fake bucket of control data: it holds objects with their ETags, and can be taken away."""

from itertools import count

from sluice.core.errors import Retryable


class PlayedBucket:
    """What readers and publishers ask of a bucket."""

    def __init__(self) -> None:
        self.held: dict[str, tuple[bytes, str]] = {}
        self.away = False
        self.asked = 0
        self._etags = (f'"{number}"' for number in count())

    def find(self, name: str) -> tuple[bytes, str] | None:
        self._answer()
        return self.held.get(name)

    def get_changed(self, name: str, etag: str | None) -> tuple[bytes, str] | None:
        self._answer()
        if name not in self.held:
            raise Retryable("NoSuchKey")
        return None if self.held[name][1] == etag else self.held[name]

    def replace(self, name: str, data: bytes, etag: str | None) -> bool:
        self._answer()
        if (self.held[name][1] if name in self.held else None) != etag:
            return False
        self.put(name, data)
        return True

    def put(self, name: str, data: bytes, content_type: str = "") -> None:
        del content_type
        self.held[name] = data, next(self._etags)

    def _answer(self) -> None:
        self.asked += 1
        if self.away:
            raise Retryable("S3 does not answer")
