"""An object of a bucket as a file, of which only that is fetched which is read."""

from io import SEEK_CUR, SEEK_END, SEEK_SET, RawIOBase
from typing import Any

# Enough for the end of a usual file, so that what is where in it takes one request.
TAIL = 128 * 1024


class StoredFile(RawIOBase):
    """An object of the bucket, read by ranges; its end is fetched at once and kept."""

    def __init__(self, s3: Any, bucket: str, name: str, tail: int = TAIL) -> None:
        super().__init__()
        self._s3, self._bucket, self._name = s3, bucket, name
        answer = s3.get_object(Bucket=bucket, Key=name, Range=f"bytes=-{tail}")
        self._tail: bytes = answer["Body"].read()
        self._size = int(answer["ContentRange"].rpartition("/")[2])
        self._place = 0

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def seekable(self) -> bool:
        """Say that it can be read from anywhere."""
        return True

    def tell(self) -> int:
        """Say from where is read next."""
        return self._place

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        """Go somewhere else."""
        self._place = offset + {SEEK_SET: 0, SEEK_CUR: self._place, SEEK_END: self._size}[whence]
        return self._place

    def read(self, size: int = -1) -> bytes:
        """Read a range: from what is kept, or from the bucket."""
        end = self._size if size < 0 else min(self._place + size, self._size)
        start, self._place = self._place, end
        if start >= end:
            return b""
        kept_from = self._size - len(self._tail)
        if start >= kept_from:
            return self._tail[start - kept_from : end - kept_from]
        body: bytes = self._s3.get_object(Bucket=self._bucket, Key=self._name, Range=f"bytes={start}-{end - 1}")[
            "Body"
        ].read()
        return body
