"""Reads S3 objects by range, as files."""

from io import SEEK_CUR, SEEK_END, SEEK_SET, RawIOBase

from sluice.edge.bucket import Bucket

# Enough for a usual file's footer, so that its table of contents takes one request.
TAIL = 128 * 1024


class StoredFile(RawIOBase):
    """An object of the bucket, read by range; its end is fetched first and kept in memory."""

    def __init__(self, bucket: Bucket, name: str, tail: int = TAIL) -> None:
        super().__init__()
        self._bucket, self._name = bucket, name
        self._tail, self._size = bucket.get_range(name, f"-{tail}")
        self._place = 0

    def readable(self) -> bool:
        """Return True: it can be read."""
        return True

    def seekable(self) -> bool:
        """Return True: it can be read from any position."""
        return True

    def tell(self) -> int:
        """Return the position of the next read."""
        return self._place

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        """Move to another position."""
        self._place = offset + {SEEK_SET: 0, SEEK_CUR: self._place, SEEK_END: self._size}[whence]
        return self._place

    def read(self, size: int = -1) -> bytes:
        """Read a range: from the end in memory, or from the bucket."""
        end = self._size if size < 0 else min(self._place + size, self._size)
        start, self._place = self._place, end
        if start >= end:
            return b""
        kept_from = self._size - len(self._tail)
        if start >= kept_from:
            return self._tail[start - kept_from : end - kept_from]
        return self._bucket.get_range(self._name, f"{start}-{end - 1}")[0]
