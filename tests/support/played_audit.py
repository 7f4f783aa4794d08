"""An audit, a key and a bucket of checkpoints, played in memory."""

import hmac
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, cast

from sluice.core.control.audit import Entry
from sluice.edge.control.checkpointing import Checkpointing, Run

if TYPE_CHECKING:
    from sluice.edge.control.checkpoint_bucket import CheckpointBucket
    from sluice.edge.control.signing import Signer
    from sluice.edge.control.store import ControlStore


class PlayedSigner:
    """Signs with a secret of its own."""

    def __init__(self, secret: bytes = b"ours") -> None:
        self.secret = secret

    def sign(self, text: bytes) -> tuple[bytes, str]:
        return hmac.digest(self.secret, text, "sha256"), f"arn:aws:kms:us-east-1:1:key/{self.secret.decode()}"

    def verifies(self, text: bytes, signature: bytes) -> bool:
        return hmac.compare_digest(self.sign(text)[0], signature)


class PlayedAudit:
    """Answers as the stores do."""

    def __init__(self, entries: list[Entry], stage: str = "test") -> None:
        self.entries = entries
        self.stored: dict[str, bytes] = {}
        self.signer = PlayedSigner()
        self.stage = stage

    def run(self, now: datetime, renewal: timedelta = timedelta(days=1)) -> Run:
        """Sign once."""
        return self.checkpointing(renewal).run(now)

    def checkpointing(self, renewal: timedelta = timedelta(days=1)) -> Checkpointing:
        """What signs."""
        return Checkpointing(
            cast("ControlStore", self),
            cast("CheckpointBucket", _CheckpointBucket(self.stored)),
            cast("Signer", self.signer),
            self.stage,
            renewal,
        )

    @contextmanager
    def reading(self) -> Iterator["_Rows"]:
        yield _Rows(self.entries)


class _CheckpointBucket:
    def __init__(self, stored: dict[str, bytes]) -> None:
        self._stored = stored

    def find_newest(self) -> tuple[str, bytes] | None:
        return min(self._stored.items()) if self._stored else None

    def put(self, name: str, data: bytes) -> None:
        assert name not in self._stored
        self._stored[name] = data


class _Rows:
    def __init__(self, entries: list[Entry]) -> None:
        self._entries = sorted(entries, key=lambda each: each.number)

    def entries(self, after: int, most: int, *, newest_first: bool) -> list[Entry]:
        if newest_first:
            return [each for each in reversed(self._entries) if each.number < after][:most]
        return [each for each in self._entries if each.number > after][:most]
