"""Objects of one bucket, read whole or by range; every call raises Retryable if S3 fails."""

from collections.abc import Iterator
from io import SEEK_CUR, SEEK_END, SEEK_SET, RawIOBase
from typing import Any

from sluice.edge import aws

# For a missing object, S3 answers "forbidden" to a role that may not list the bucket.
_NOT_THERE = {"403", "404", "NoSuchKey", "AccessDenied"}

_UNCHANGED = "304"
# Someone else wrote the object before, or at the same time.
_CHANGED = {"PreconditionFailed", "ConditionalRequestConflict"}

# Enough for a usual file's footer, so that its table of contents takes one request.
TAIL = 128 * 1024


class Bucket:
    """One bucket."""

    def __init__(self, s3: Any, name: str) -> None:
        self._s3 = s3
        self._name = name

    def list_pages(self, prefix: str, after: str = "") -> Iterator[dict[str, str]]:
        """Yield the names under a prefix with their ETags, page by page, starting after a name."""
        with aws.asking("S3"):
            pages = self._s3.get_paginator("list_objects_v2").paginate(
                Bucket=self._name, Prefix=prefix, **({"StartAfter": after} if after else {})
            )
            for page in pages:
                yield {each["Key"]: each["ETag"] for each in page.get("Contents", ())}

    def list_sizes(self, prefix: str) -> Iterator[dict[str, tuple[str, int]]]:
        """Yield the names under a prefix with their ETags and sizes, page by page."""
        with aws.asking("S3"):
            for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._name, Prefix=prefix):
                yield {each["Key"]: (each["ETag"], each["Size"]) for each in page.get("Contents", ())}

    def find_size(self, name: str) -> tuple[str, int] | None:
        """Return an object's ETag and size, or None if it does not exist."""
        return next((page.get(name) for page in self.list_sizes(name)), None)

    def get(self, name: str) -> bytes:
        """Read an object."""
        with aws.asking("S3"):
            data: bytes = self._s3.get_object(Bucket=self._name, Key=name)["Body"].read()
        return data

    def get_range(self, name: str, wanted: str) -> tuple[bytes, int]:
        """Read a range of an object's bytes; return them and the object's size."""
        with aws.asking("S3"):
            answer = self._s3.get_object(Bucket=self._name, Key=name, Range=f"bytes={wanted}")
            return answer["Body"].read(), int(answer["ContentRange"].rpartition("/")[2])

    def find(self, name: str) -> tuple[bytes, str] | None:
        """Read an object and its ETag; None if it does not exist."""
        from botocore.exceptions import ClientError

        with aws.asking("S3"):
            try:
                answer = self._s3.get_object(Bucket=self._name, Key=name)
                return answer["Body"].read(), answer["ETag"]
            except ClientError as error:
                if error.response["Error"]["Code"] in _NOT_THERE:
                    return None
                raise

    def get_changed(self, name: str, etag: str | None) -> tuple[bytes, str] | None:
        """Read an object and its ETag; None if it still has this ETag."""
        from botocore.exceptions import ClientError

        with aws.asking("S3"):
            try:
                unless = {"IfNoneMatch": etag} if etag else {}
                answer = self._s3.get_object(Bucket=self._name, Key=name, **unless)
                return answer["Body"].read(), answer["ETag"]
            except ClientError as error:
                if error.response["Error"]["Code"] == _UNCHANGED:
                    return None
                raise

    def replace(self, name: str, data: bytes, etag: str | None) -> bool:
        """Replace the object that has this ETag, or create it if there is none; return whether it was still so."""
        from botocore.exceptions import ClientError

        with aws.asking("S3"):
            try:
                condition = {"IfMatch": etag} if etag else {"IfNoneMatch": "*"}
                self._s3.put_object(Bucket=self._name, Key=name, Body=data, ContentType="application/json", **condition)
            except ClientError as error:
                if error.response["Error"]["Code"] in _CHANGED:
                    return False
                raise
        return True

    def put(self, name: str, data: bytes, content_type: str = "binary/octet-stream") -> None:
        """Write an object, whole or not at all."""
        with aws.asking("S3"):
            self._s3.put_object(Bucket=self._name, Key=name, Body=data, ContentType=content_type)

    def copy(self, source: str, target: str, metadata: dict[str, str]) -> None:
        """Copy an object within the bucket, whole or not at all, with new metadata."""
        with aws.asking("S3"):
            self._s3.copy_object(
                Bucket=self._name,
                Key=target,
                CopySource={"Bucket": self._name, "Key": source},
                Metadata=metadata,
                MetadataDirective="REPLACE",
            )

    def delete(self, name: str) -> None:
        """Delete an object, if it exists."""
        with aws.asking("S3"):
            self._s3.delete_object(Bucket=self._name, Key=name)

    def find_metadata(self, name: str) -> dict[str, str] | None:
        """Return an object's metadata, or None if it does not exist."""
        from botocore.exceptions import ClientError

        with aws.asking("S3"):
            try:
                metadata: dict[str, str] = self._s3.head_object(Bucket=self._name, Key=name)["Metadata"]
            except ClientError as error:
                if error.response["Error"]["Code"] in _NOT_THERE:
                    return None
                raise
        return metadata


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
