"""`python -m cli.emptying STAGE [REGION]`: deletes what is in the buckets that are deleted with a stage's stacks.

CloudFormation deletes no bucket that holds anything. Buckets of a stage that keeps its data are left alone: the
deployed template says which.
"""

import sys
from collections.abc import Sequence
from typing import Any

from cli.aws import describe_stack, open_client
from cli.stages import CommandError, Target, read_stage

WRITERS = ("pipeline", "background")
BUCKET = "AWS::S3::Bucket"


def empty(target: Target) -> list[str]:
    """Delete every version of every object in the buckets, and return the buckets' names."""
    stacks = open_client(target, "cloudformation")
    for part in WRITERS:
        if describe_stack(stacks, f"sluice-{target.stage}-{part}"):
            raise CommandError(
                f"stack sluice-{target.stage}-{part} is still there, and its functions write: delete it first"
            )
    data = f"sluice-{target.stage}-data"
    if describe_stack(stacks, data) is None:
        return []
    s3 = open_client(target, "s3")
    template = stacks.get_template(StackName=data)["TemplateBody"]["Resources"]
    emptied = []
    for logical, bucket in _list_buckets(stacks, data):
        if template[logical].get("DeletionPolicy") == "Delete":
            _delete_versions(s3, bucket, locked=bool(template[logical]["Properties"].get("ObjectLockEnabled")))
            emptied.append(bucket)
    return emptied


def _list_buckets(stacks: Any, stack: str) -> list[tuple[str, str]]:
    pages = stacks.get_paginator("list_stack_resources").paginate(StackName=stack)
    return [
        (each["LogicalResourceId"], each["PhysicalResourceId"])
        for page in pages
        for each in page["StackResourceSummaries"]
        if each["ResourceType"] == BUCKET and each["ResourceStatus"] != "DELETE_COMPLETE"
    ]


def _delete_versions(s3: Any, bucket: str, *, locked: bool) -> None:
    """Delete everything. A lock of the mode governance gives way to those who have the permission for it."""
    bypass = {"BypassGovernanceRetention": True} if locked else {}
    # Each time the first page: what it had is gone then, or was refused.
    while True:
        page = s3.list_object_versions(Bucket=bucket)
        found = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
        if not found:
            return
        objects = [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in found]
        answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True}, **bypass)
        if errors := answer.get("Errors"):
            first = errors[0]
            raise CommandError(
                f"{bucket}: {len(errors)} objects are not deleted; of {first['Key']}, S3 says {first['Code']}"
            )


def main(arguments: Sequence[str]) -> int:
    """Empty the buckets of a stage."""
    try:
        emptied = empty(read_stage(arguments))
    except CommandError as error:
        print(error, file=sys.stderr)
        return error.status
    for bucket in emptied:
        print(f"{bucket} is empty")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
