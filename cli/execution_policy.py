"""`python -m cli.execution_policy ACCOUNT` creates or updates the policy that CloudFormation deploys with.

It prints the policy's ARN. `make bootstrap` gives the policy to CloudFormation's role, in place of AdministratorAccess.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cli.aws import open_client
from cli.stages import CommandError, Target

DOCUMENT = Path(__file__).parents[1] / "infra" / "execution-policy.json"
NAME = "sluice-deployment"
MOST_VERSIONS = 5
"""IAM keeps so many versions of a policy."""


def put_policy(iam: Any, account: str, document: dict[str, Any]) -> str:
    """Create the policy, or give it a new version where it says something else, and return its ARN."""
    arn = f"arn:aws:iam::{account}:policy/{NAME}"
    try:
        current = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    except iam.exceptions.NoSuchEntityException:
        iam.create_policy(
            PolicyName=NAME,
            PolicyDocument=json.dumps(document),
            Description="What CloudFormation may do to deploy Sluice",
        )
        return arn
    if iam.get_policy_version(PolicyArn=arn, VersionId=current)["PolicyVersion"]["Document"] == document:
        return arn
    versions = iam.list_policy_versions(PolicyArn=arn)["Versions"]
    others = sorted((each for each in versions if not each["IsDefaultVersion"]), key=lambda each: each["CreateDate"])
    if len(versions) >= MOST_VERSIONS:
        iam.delete_policy_version(PolicyArn=arn, VersionId=others[0]["VersionId"])
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=json.dumps(document), SetAsDefault=True)
    return arn


def _require_account(sts: Any, account: str) -> None:
    """Refuse credentials of another account, before anything is created there."""
    found = sts.get_caller_identity()["Account"]
    if found != account:
        raise CommandError(f"these credentials are of account {found}, not of {account}")


def main(arguments: Sequence[str]) -> int:
    """Create or update the policy of an account."""
    from botocore.exceptions import BotoCoreError, ClientError

    if len(arguments) != 1:
        print("say which account", file=sys.stderr)
        return 2
    try:
        here = Target("", Path())
        _require_account(open_client(here, "sts"), arguments[0])
        print(put_policy(open_client(here, "iam"), arguments[0], json.loads(DOCUMENT.read_text())))
    except CommandError as error:
        print(error, file=sys.stderr)
        return error.status
    except (BotoCoreError, ClientError) as error:
        print(f"the policy {NAME} cannot be created or updated: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
