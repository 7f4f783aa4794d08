"""What a delivery stream has accepted and not yet delivered: files that survive the process being killed.

An answer is given only after the write, so the page cache holds what was promised; the power failing is not modelled.
"""

import os
import struct
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_FRAME = struct.Struct(">dI")


@dataclass(frozen=True)
class Buffered:
    """One record as it was put, and when it arrived."""

    arrived: float
    data: bytes


class Spool:
    """One buffer: it takes records until it is closed, and becomes one delivery, named by its own identity."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records = 0
        self.lines = 0
        self.bytes = 0
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    @classmethod
    def new(cls, directory: Path) -> "Spool":
        """An empty buffer in a stream's directory."""
        return cls(directory / f"{uuid.uuid4()}.spool")

    @property
    def identity(self) -> str:
        return self.path.stem

    def append(self, records: Sequence[bytes], now: float) -> None:
        """Writes a request's records in one piece; a write that breaks off leaves a tail that reading ignores."""
        frames = b"".join(_FRAME.pack(now, len(data)) + data for data in records)
        written = os.write(self._file, frames)
        if written != len(frames):
            raise OSError(f"{self.path}: only {written} of {len(frames)} bytes were written")
        self._count(records)

    def close(self) -> None:
        """Takes no more."""
        os.close(self._file)

    def recount(self) -> None:
        """Counts what a process that is gone left here."""
        self._count([record.data for record in read(self.path)])

    def remove(self) -> None:
        """Forgets what has been delivered."""
        self.path.unlink()

    def _count(self, records: Sequence[bytes]) -> None:
        self.records += len(records)
        self.bytes += sum(map(len, records))
        self.lines += sum(data.count(b"\n") + (not data.endswith(b"\n")) for data in records)


def read(path: Path) -> Iterator[Buffered]:
    """The whole records of a file; what follows the last whole one was never answered for."""
    with path.open("rb") as file:
        while len(head := file.read(_FRAME.size)) == _FRAME.size:
            arrived, length = _FRAME.unpack(head)
            data = file.read(length)
            if len(data) < length:
                return
            yield Buffered(arrived, data)
