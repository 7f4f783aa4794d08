"""The bucket of checkpoints. Object Lock keeps every version in it: what someone hides or overwrites is still there."""

from typing import Any

from sluice.core.control.checkpoints import FOLDER
from sluice.edge import aws


class CheckpointBucket:
    """Stores checkpoints, each under a name of its own."""

    def __init__(self, s3: Any, bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket

    def find_newest(self) -> tuple[str, bytes] | None:
        """Read the newest checkpoint: its name, and what was first written there."""
        with aws.asking("S3"):
            # Versions, because a delete marker hides an object, and another version stands before it.
            pages = self._s3.get_paginator("list_object_versions").paginate(Bucket=self._bucket, Prefix=FOLDER)
            for page in pages:
                if found := page.get("Versions"):
                    name = found[0]["Key"]
                    first = [each for each in found if each["Key"] == name][-1]
                    stored = self._s3.get_object(Bucket=self._bucket, Key=name, VersionId=first["VersionId"])
                    return name, stored["Body"].read()
        return None

    def put(self, name: str, data: bytes) -> None:
        """Store a checkpoint, unless its name is taken."""
        with aws.asking("S3"):
            self._s3.put_object(
                Bucket=self._bucket,
                Key=name,
                Body=data,
                ContentType="application/json",
                IfNoneMatch="*",
                # S3 takes no object without one into a bucket with Object Lock.
                ChecksumAlgorithm="SHA256",
            )
