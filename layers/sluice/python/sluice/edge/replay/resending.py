"""Sending a chunk of raw files again: its events go to replay-events, at a bounded rate.

ask whether the replay goes on -> read all files of the chunk -> produce in pieces -> record the chunk
"""

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

import msgspec

from sluice.core.errors import Retryable
from sluice.core.limits import Limits
from sluice.core.messages import Message
from sluice.core.replay.chunks import FilePart
from sluice.edge.broker import Broker
from sluice.edge.bucket import Bucket, StoredFile
from sluice.edge.database import Database
from sluice.edge.replay.raw_files import UNREADABLE, Scope, read_messages

PIECE = 1000
"""How many records are produced at a time."""
TRIES = 5

_STATE = "SELECT state FROM replay WHERE replay_number = %s"
_DONE = "SELECT events FROM replay_chunk WHERE replay_number = %s AND chunk = %s"
_RECORD = """
    INSERT INTO replay_chunk (replay_number, chunk, events, trouble, reaches_back) VALUES (%s, %s, %s, %s, %s)
    ON CONFLICT (replay_number, chunk) DO NOTHING
"""


class UnreadableFileError(Exception):
    """A raw file is no Parquet, or lacks a column of ours."""


class Chunk(msgspec.Struct, frozen=True):
    """Some raw files of a replay, or parts of them, which one invocation sends."""

    replay_number: int
    chunk: int
    files: tuple[FilePart, ...]
    scope: Scope


class Resending(msgspec.Struct, frozen=True):
    """The work of resend."""

    raw: Bucket
    broker: Broker
    database: Database
    topic: str
    per_second: float
    """How many events one invocation sends a second, at most."""
    limits: Limits
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def send(self, chunk: Chunk) -> dict[str, Any]:
        """Send a chunk, unless it was sent before or the replay is over."""
        with self.database.use() as connection:
            ((state,),) = connection.execute(_STATE, [chunk.replay_number]).fetchall()
            done = connection.execute(_DONE, [chunk.replay_number, chunk.chunk]).fetchone()
        if state != "resending":
            return {"chunk": chunk.chunk, "events": 0, "state": state}
        if done is not None:
            return {"chunk": chunk.chunk, "events": done[0], "state": state}
        events, trouble = 0, None
        try:
            messages = self._read(chunk)
        except UnreadableFileError as error:
            # The next step ends the replay, and says this.
            trouble = str(error)
        else:
            events = self._produce(messages)
        with self.database.use() as connection:
            reaches_back = chunk.scope.received_from is not None
            connection.execute(_RECORD, [chunk.replay_number, chunk.chunk, events, trouble, reaches_back])
        return {"chunk": chunk.chunk, "events": events, "state": state}

    def _read(self, chunk: Chunk) -> list[Message]:
        """Read all of a chunk before any of it is sent: an unreadable file must be found before that."""
        messages: list[Message] = []
        for part in chunk.files:
            try:
                file = StoredFile(self.raw, part.file)
                messages += read_messages(file, part, chunk.scope, self.limits, self.topic, chunk.replay_number)
            except UNREADABLE as error:
                raise UnreadableFileError(f"The raw file {part.file} cannot be read: {error}.") from error
        return messages

    def _produce(self, messages: Sequence[Message]) -> int:
        began, sent = self.clock(), 0
        for piece in _pieces(messages):
            self._store(piece)
            sent += len(piece)
            ahead = sent / self.per_second - (self.clock() - began)
            if ahead > 0:
                self.sleep(ahead)
        return sent

    def _store(self, piece: Sequence[Message]) -> None:
        """Store a piece. A record whose outcome is unknown is sent again: recount takes each place once."""
        waiting, reason = piece, ""
        for _ in range(TRIES):
            outcomes = self.broker.store(waiting)
            failed = [(one, outcome) for one, outcome in zip(waiting, outcomes, strict=True) if outcome is not None]
            if not failed:
                return
            waiting, reason = [one for one, _ in failed], str(failed[0][1].reason)
            self.sleep(1)
        raise Retryable(f"{len(waiting)} replayed events were not stored: {reason}")


def _pieces(messages: Sequence[Message]) -> Iterator[Sequence[Message]]:
    left = iter(messages)
    while piece := list(islice(left, PIECE)):
        yield piece
