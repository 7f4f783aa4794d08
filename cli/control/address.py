"""Where a stage's admin API is, and the credentials that sign requests to it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import boto3
from botocore.config import Config
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import BotoCoreError, ClientError

from cli.stages import CommandError, read_stack

Role = Literal["admin", "auditor", "operator"]

PATIENCE = Config(connect_timeout=5, read_timeout=20, retries={"mode": "standard", "max_attempts": 3})


@dataclass(frozen=True)
class AdminApi:
    """An admin API as one principal asks it."""

    address: str
    region: str
    credentials: ReadOnlyCredentials


def find_api(stage: str, directory: Path, role: Role | None) -> AdminApi:
    """Find the API of a deployed stage, or else that of the local stack."""
    return _find_deployed(stage, role) if stage else _find_local(read_stack(directory), role or "admin")


def _find_local(stack: Mapping[str, Any], role: Role) -> AdminApi:
    roles = stack.get("roles", {"admin": stack["admin"]})
    if role not in roles:
        raise CommandError(f"the local stack has no role {role}: choose one of {', '.join(roles)}", 2)
    credentials = ReadOnlyCredentials(roles[role]["access_key"], roles[role]["secret_key"], None)
    return AdminApi(stack["api"], stack["region"], credentials)


def _find_deployed(stage: str, role: Role | None) -> AdminApi:
    session = boto3.Session()
    if session.region_name is None:
        raise CommandError(f"no AWS region is set: set AWS_REGION to that of stage {stage}", 2)
    try:
        own = session.get_credentials()
        if own is None:
            raise CommandError("there are no AWS credentials: log in, or name a profile in AWS_PROFILE", 2)
        stacks = session.client("cloudformation", config=PATIENCE).describe_stacks(
            StackName=f"sluice-{stage}-pipeline"
        )["Stacks"]
        outputs = {each["OutputKey"]: each["OutputValue"] for each in stacks[0].get("Outputs", [])}
        if role is None:
            credentials = own.get_frozen_credentials()
        else:
            credentials = _assume(session, _read_output(outputs, f"Roles{role.capitalize()}Arn"))
    except (BotoCoreError, ClientError) as error:
        raise CommandError(f"AWS did not say where stage {stage} is, or did not let you in: {error}") from error
    return AdminApi(_read_output(outputs, "ApiUrl"), session.region_name, credentials)


def _read_output(outputs: Mapping[str, str], name: str) -> str:
    """Read an output of the stack; the CDK adds a hash to its name."""
    for key, value in outputs.items():
        if re.fullmatch(rf"{name}[0-9A-F]{{8}}", key):
            return value
    raise CommandError(f"the stage has no output {name}: deploy this release to it first")


def _assume(session: boto3.Session, role_arn: str) -> ReadOnlyCredentials:
    tokens = session.client("sts", config=PATIENCE)
    # The name is part of the principal in the audit: without it, all people with the role would look the same.
    person = re.split("[/:]", tokens.get_caller_identity()["Arn"])[-1]
    given = tokens.assume_role(RoleArn=role_arn, RoleSessionName=person)["Credentials"]
    return ReadOnlyCredentials(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
