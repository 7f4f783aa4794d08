"""`python -m cli.execution_policy ACCOUNT`: keeps the policy under which CloudFormation deploys, and prints its ARN.

`make bootstrap` gives the policy to the role that CloudFormation deploys with, in place of AdministratorAccess.
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


def keep(iam: Any, account: str, document: dict[str, Any]) -> str:
    """Create the policy, or give it a new version where it says something else, and return its ARN."""
    arn = f"arn:aws:iam::{account}:policy/{NAME}"
    try:
        current = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    except iam.exceptions.NoSuchEntityException:
        made = iam.create_policy(
            PolicyName=NAME,
            PolicyDocument=json.dumps(document),
            Description="What CloudFormation may do to deploy Sluice",
        )
        return _belongs_to(account, made["Policy"]["Arn"])
    if iam.get_policy_version(PolicyArn=arn, VersionId=current)["PolicyVersion"]["Document"] == document:
        return arn
    versions = iam.list_policy_versions(PolicyArn=arn)["Versions"]
    others = sorted((each for each in versions if not each["IsDefaultVersion"]), key=lambda each: each["CreateDate"])
    if len(versions) >= MOST_VERSIONS:
        iam.delete_policy_version(PolicyArn=arn, VersionId=others[0]["VersionId"])
    iam.create_policy_version(PolicyArn=arn, PolicyDocument=json.dumps(document), SetAsDefault=True)
    return arn


def _belongs_to(account: str, arn: str) -> str:
    if f":{account}:" not in arn:
        raise CommandError(f"these credentials are not of account {account}: they made {arn}; delete it there")
    return arn


def main(arguments: Sequence[str]) -> int:
    """Keep the policy in an account."""
    from botocore.exceptions import BotoCoreError, ClientError

    if len(arguments) != 1:
        print("say which account", file=sys.stderr)
        return 2
    try:
        iam = open_client(Target("", Path()), "iam")
        print(keep(iam, arguments[0], json.loads(DOCUMENT.read_text())))
    except CommandError as error:
        print(error, file=sys.stderr)
        return error.status
    except (BotoCoreError, ClientError) as error:
        print(f"the policy {NAME} cannot be kept: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
