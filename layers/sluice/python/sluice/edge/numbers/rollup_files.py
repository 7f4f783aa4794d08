"""Files of rollups in their bucket: staged outside the queried prefix, read back, and only then published.

Nothing is deleted here: the bucket's lifecycle expires staged and old files.
"""

from typing import Any

import msgspec

from sluice.core.numbers.tiers import STAGING, File, Unverified, name_manifest
from sluice.edge.bucket import Bucket
from sluice.edge.numbers.rollup_parts import digest


class RollupFiles:
    """The bucket of rollups."""

    def __init__(self, s3: Any, bucket: str) -> None:
        self._bucket = Bucket(s3, bucket)

    def stage(self, name: str, data: bytes) -> None:
        """Write a file to where it can be verified and no query finds it yet."""
        self._bucket.put(STAGING + name, data)

    def read_staged(self, file: File) -> bytes:
        """Read a staged file back; the bytes must equal those sent."""
        data = self._bucket.get(STAGING + file.object)
        if digest(data) != file.digest:
            raise Unverified(f"{file.object} was stored as other bytes than were sent")
        return data

    def publish(self, file: File) -> None:
        """Copy a verified file to where queries find it, unless it exists there."""
        published = self._bucket.find_metadata(file.object)
        if published is None or published.get("sha256") != file.digest:
            self._bucket.copy(STAGING + file.object, file.object, {"sha256": file.digest})

    def list_day(self, files: list[File]) -> None:
        """Write a day's manifest: the database's list of files, readable from the bucket as well."""
        first = files[0]
        name = name_manifest(first.resolution, f"{first.window_from:%Y-%m-%d}")
        self._bucket.put(name, msgspec.json.encode(files), "application/json")
