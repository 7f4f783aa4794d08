"""The bucket of rollups: files are put where nobody looks, read back, and only then to where they are found."""

from typing import Any

import msgspec
from botocore.exceptions import ClientError

from sluice.core.numbers.tiers import STAGING, File, Unverified, name_manifest
from sluice.edge.numbers.rollup_parts import digest

# S3 says "forbidden" of what is not there to whoever may not list.
_NOT_THERE = {"403", "404", "NoSuchKey", "AccessDenied"}


class RollupFiles:
    """Files of rollups, of which nothing is ever deleted here: what is staged and what is old ends by the lifecycle."""

    def __init__(self, s3: Any, bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket

    def stage(self, name: str, data: bytes) -> None:
        """Put a file where it can be verified and is not found yet."""
        self._s3.put_object(Bucket=self._bucket, Key=STAGING + name, Body=data)

    def read_staged(self, file: File) -> bytes:
        """Read a file back; what came back has to be what was sent."""
        data: bytes = self._s3.get_object(Bucket=self._bucket, Key=STAGING + file.object)["Body"].read()
        if digest(data) != file.digest:
            raise Unverified(f"{file.object} was stored as other bytes than were sent")
        return data

    def publish(self, file: File) -> None:
        """See to it that a verified file is where it is found; it is copied as a whole or not at all."""
        if not self._is_published(file):
            self._s3.copy_object(
                Bucket=self._bucket,
                Key=file.object,
                CopySource={"Bucket": self._bucket, "Key": STAGING + file.object},
                Metadata={"sha256": file.digest},
                MetadataDirective="REPLACE",
            )

    def list_day(self, files: list[File]) -> None:
        """Write down beside the files which of them make up a day: what the database knows can be read from here."""
        first = files[0]
        name = name_manifest(first.resolution, f"{first.window_from:%Y-%m-%d}")
        self._s3.put_object(
            Bucket=self._bucket, Key=name, Body=msgspec.json.encode(files), ContentType="application/json"
        )

    def _is_published(self, file: File) -> bool:
        try:
            found = self._s3.head_object(Bucket=self._bucket, Key=file.object)
        except ClientError as error:
            if error.response["Error"]["Code"] in _NOT_THERE:
                return False
            raise
        return bool(found["Metadata"].get("sha256") == file.digest)
