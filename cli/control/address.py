"""Where a stage's admin API is, and the credentials that sign requests to it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from botocore.config import Config
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import BotoCoreError, ClientError

from cli.aws import REMEMBER, find_output, locate_api, read_outputs
from cli.stages import CommandError, Target, read_stack

if TYPE_CHECKING:
    import boto3

Role = Literal["admin", "auditor", "operator", "schema-approver", "schema-proposer"]

PATIENCE = Config(connect_timeout=5, read_timeout=20, retries={"mode": "standard", "max_attempts": 3})


@dataclass(frozen=True)
class AdminApi:
    """An admin API as one principal asks it."""

    address: str
    region: str
    credentials: ReadOnlyCredentials


def find_api(target: Target, role: Role | None) -> AdminApi:
    """Find the API of a deployed stage, or else that of the local stack."""
    return _find_deployed(target, role) if target.stage else _find_local(read_stack(target.dir), role or "admin")


def _find_local(stack: Mapping[str, Any], role: Role) -> AdminApi:
    login = stack["roles"][role]
    return AdminApi(stack["api"], stack["region"], ReadOnlyCredentials(login["access_key"], login["secret_key"], None))


def _find_deployed(target: Target, role: Role | None) -> AdminApi:
    try:
        import boto3

        session = boto3.Session(profile_name=target.aws_profile, region_name=target.region)
        if session.region_name is None:
            raise CommandError(f"no AWS region is set for stage {target.stage}: set AWS_DEFAULT_REGION. {REMEMBER}", 2)
        own = session.get_credentials()
        if own is None:
            raise CommandError("there are no AWS credentials: log in, or name a profile in AWS_PROFILE", 2)
        if role is None:
            credentials = own.get_frozen_credentials()
        else:
            called = "".join(word.capitalize() for word in role.split("-"))
            credentials = _assume(session, find_output(read_outputs(target), f"Roles{called}Arn"))
    except (BotoCoreError, ClientError) as error:
        raise CommandError(f"AWS did not let you in: {error}") from error
    return AdminApi(locate_api(target), session.region_name, credentials)


def _assume(session: "boto3.Session", role_arn: str) -> ReadOnlyCredentials:
    tokens = session.client("sts", config=PATIENCE)
    # The name is part of the principal in the audit: without it, all people with the role would look the same.
    person = re.split("[/:]", tokens.get_caller_identity()["Arn"])[-1]
    given = tokens.assume_role(RoleArn=role_arn, RoleSessionName=person)["Credentials"]
    return ReadOnlyCredentials(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
