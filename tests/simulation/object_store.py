"""A simulated object store: what the edge asks of boto3's S3 client, with conditional writes and ranges."""

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError, ReadTimeoutError
from botocore.response import StreamingBody

from tests.simulation.faults import KILLED_BEFORE, NO_ANSWER, SLOW
from tests.simulation.world import World

STORE = "object store"
READS = (KILLED_BEFORE, NO_ANSWER, SLOW)
PAGE = 50


@dataclass(frozen=True)
class StoredObject:
    """An object."""

    body: bytes
    written_at: datetime
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def etag(self) -> str:
        """The name of its content."""
        return f'"{hashlib.md5(self.body, usedforsecurity=False).hexdigest()}"'


class ObjectStore:
    """The buckets."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.objects: dict[tuple[str, str], StoredObject] = {}

    def write(self, bucket: str, name: str, body: bytes, metadata: dict[str, str] | None = None) -> None:
        """Write an object, whole."""
        self.objects[bucket, name] = StoredObject(body, self._world.timeline.now(), metadata or {})

    def names(self, bucket: str, prefix: str = "") -> list[str]:
        """List a bucket."""
        return sorted(name for place, name in self.objects if place == bucket and name.startswith(prefix))

    def get_paginator(self, operation: str) -> "ObjectStore":
        """Return what lists objects."""
        if operation != "list_objects_v2":
            raise NotImplementedError(operation)
        return self

    def paginate(self, *, Bucket: str, Prefix: str = "", StartAfter: str = "") -> Iterator[dict[str, Any]]:  # noqa: N803
        """List page by page."""
        names = [name for name in self.names(Bucket, Prefix) if name > StartAfter]
        for at in range(0, len(names), PAGE) or [0]:
            yield self._list(Bucket, names[at : at + PAGE])

    def get_object(self, *, Bucket: str, Key: str, Range: str = "", IfNoneMatch: str = "") -> dict[str, Any]:  # noqa: N803
        """Read an object, or a range of it, unless it is known already."""
        return self._world.perform(STORE, "get", lambda _: self._get(Bucket, Key, Range, IfNoneMatch), _fail, READS)

    def head_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        """Read an object's metadata."""

        def read(_: str | None) -> dict[str, Any]:
            return {"Metadata": self._find(Bucket, Key).metadata}

        return self._world.perform(STORE, "head", read, _fail, READS)

    def put_object(
        self,
        *,
        Bucket: str,  # noqa: N803
        Key: str,  # noqa: N803
        Body: bytes,  # noqa: N803
        ContentType: str = "",  # noqa: ARG002, N803
        IfMatch: str = "",  # noqa: N803
        IfNoneMatch: str = "",  # noqa: N803
    ) -> dict[str, Any]:
        """Write an object, perhaps only over the one that is known."""
        return self._world.perform(STORE, "put", lambda _: self._put(Bucket, Key, Body, IfMatch, IfNoneMatch), _fail)

    def copy_object(
        self,
        *,
        Bucket: str,  # noqa: N803
        Key: str,  # noqa: N803
        CopySource: dict[str, str],  # noqa: N803
        Metadata: dict[str, str] | None = None,  # noqa: N803
        MetadataDirective: str = "COPY",  # noqa: N803
    ) -> None:
        """Copy an object."""

        def copy(_: str | None) -> None:
            source = self._find(CopySource["Bucket"], CopySource["Key"])
            self.write(Bucket, Key, source.body, Metadata if MetadataDirective == "REPLACE" else source.metadata)

        self._world.perform(STORE, "copy", copy, _fail)

    def delete_object(self, *, Bucket: str, Key: str) -> None:  # noqa: N803
        """Delete an object, if it is there."""
        self._world.perform(STORE, "delete", lambda _: self.objects.pop((Bucket, Key), None), _fail)

    def _list(self, bucket: str, names: list[str]) -> dict[str, Any]:
        def describe(_: str | None) -> dict[str, Any]:
            found = [(name, self.objects[bucket, name]) for name in names if (bucket, name) in self.objects]
            return {
                "Contents": [
                    {"Key": name, "ETag": each.etag, "Size": len(each.body), "LastModified": each.written_at}
                    for name, each in found
                ]
            }

        return self._world.perform(STORE, "list", describe, _fail, READS)

    def _find(self, bucket: str, name: str) -> StoredObject:
        if (bucket, name) not in self.objects:
            raise _refusal("NoSuchKey")
        return self.objects[bucket, name]

    def _get(self, bucket: str, name: str, wanted: str, unless: str) -> dict[str, Any]:
        found = self._find(bucket, name)
        if unless and unless == found.etag:
            raise _refusal("304")
        body, described = found.body, {}
        if wanted:
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            start = int(first) if first else max(0, len(body) - int(last))
            end = min(int(last) + 1, len(body)) if first and last else len(body)
            if start >= end:
                raise _refusal("InvalidRange")
            described = {"ContentRange": f"bytes {start}-{end - 1}/{len(body)}"}
            body = body[start:end]
        return {"Body": StreamingBody(io.BytesIO(body), len(body)), "ETag": found.etag, **described}

    def _put(self, bucket: str, name: str, body: bytes, match: str, none_match: str) -> dict[str, Any]:
        there = self.objects.get((bucket, name))
        if (match and (there is None or there.etag != match)) or (none_match and there is not None):
            raise _refusal("PreconditionFailed")
        self.write(bucket, name, bytes(body))
        return {"ETag": self.objects[bucket, name].etag}


def _refusal(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": code}}, "simulated")


def _fail(kind: str) -> Exception:
    return ReadTimeoutError(endpoint_url=f"simulated: {kind}")
