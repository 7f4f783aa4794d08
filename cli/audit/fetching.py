"""Downloads checkpoints and their public key from a stage."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from cli.audit.signatures import write_key
from cli.aws import find_output, read_outputs
from cli.control.address import PATIENCE, Role, find_api
from cli.stages import CommandError, Target, read_stack
from sluice.core.control.checkpoints import FOLDER

PUBLIC_KEY = "public-key.pem"


@dataclass(frozen=True)
class Source:
    """Where a stage has its checkpoints, and its key."""

    stage: str
    s3: Any
    bucket: str
    kms: Any
    key: str


def find_source(target: Target, role: Role | None) -> Source:
    """Find where a deployed stage, or else the local stack, has its checkpoints."""
    import boto3

    api = find_api(target, role)
    login = api.credentials
    options: dict[str, Any] = {
        "region_name": api.region,
        "aws_access_key_id": login.access_key,
        "aws_secret_access_key": login.secret_key,
        "aws_session_token": login.token,
        "config": PATIENCE,
    }
    if target.stage:
        outputs = read_outputs(target)
        stage = target.stage
        bucket, key = (find_output(outputs, f"Checkpoints{name}") for name in ("BucketName", "KeyArn"))
    else:
        stack = read_stack(target.dir)
        stage, bucket = stack["stage"], stack["buckets"]["checkpoints_bucket"]
        key = f"alias/sluice-{stage}-checkpoints"
        options["endpoint_url"] = stack["aws"]
    return Source(stage, boto3.client("s3", **options), bucket, boto3.client("kms", **options), key)


def fetch(source: Source, folder: Path, last: int) -> int:
    """Write the newest checkpoints that the folder lacks, and the public key; return how many were new."""
    with _asking(), _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        answer = source.kms.get_public_key(KeyId=source.key)
        _keep_key(folder / PUBLIC_KEY, write_key(source.stage, answer["KeyId"], answer["PublicKey"]))
        new = 0
        for version in islice(_list(source), last):
            path = folder / _name(version)
            if not path.exists():
                named = {"Key": version["Key"], "VersionId": version["VersionId"]}
                # Whole or not at all: what is there is not fetched again.
                part = path.with_suffix(".part")
                part.write_bytes(source.s3.get_object(Bucket=source.bucket, **named)["Body"].read())
                part.rename(path)
                new += 1
    return new


def _keep_key(file: Path, text: str) -> None:
    """Write the public key, unless the folder has another one, which earlier checkpoints were signed with."""
    if file.exists() and file.read_text() != text:
        raise CommandError(
            f"{file} is another key than the stage has now: it is another stage, or its key changed."
            " Use another folder, and keep this one as evidence."
        )
    file.write_text(text)


def _list(source: Source) -> Iterator[dict[str, Any]]:
    """List every version, the newest checkpoint first: what someone hid or overwrote is still there."""
    pages = source.s3.get_paginator("list_object_versions").paginate(Bucket=source.bucket, Prefix=FOLDER)
    return (version for page in pages for version in page.get("Versions", ()))


def _name(version: dict[str, Any]) -> str:
    name = version["Key"].removeprefix(FOLDER).removesuffix(".json")
    # The name is chosen by the writer, who may be an attacker.
    return re.sub(r"[^\w.-]", "_", f"{name}.{version['VersionId']}"[:200]) + ".json"


@contextmanager
def _asking() -> Iterator[None]:
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise CommandError(f"AWS did not give the checkpoints out: {error}") from error


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CommandError(f"{folder} cannot be written: {error.strerror}", 2) from error
