"""A deployed stage's AWS services, with the credentials and the region of its profile."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cli.stages import CommandError, Target

if TYPE_CHECKING:
    from botocore.config import Config

OpenClient = Callable[[str], Any]
"""Opens a client of an AWS service."""

# Each part of a deployment is a stack of its own.
PARTS = ("network", "data", "pipeline", "background")
API = "ApiUrl"


REMEMBER = "`sluice profile add` remembers a stage's region and credentials."


def open_client(target: Target, service: str, config: "Config | None" = None) -> Any:
    """Open a client of a service where the stage is."""
    # Imported here: AWS's client takes longer to load than a command's help.
    import boto3
    from botocore.exceptions import BotoCoreError

    try:
        opener: Any = boto3.Session(profile_name=target.aws_profile) if target.aws_profile else boto3
        return opener.client(service, region_name=target.region, config=config)
    except BotoCoreError as error:
        raise CommandError(f"AWS cannot be asked from here: {str(error).rstrip('.')}. {REMEMBER}", 2) from error


def read_outputs(target: Target) -> dict[str, str]:
    """Read the outputs of the stage's stacks."""
    from botocore.exceptions import BotoCoreError, ClientError

    client = open_client(target, "cloudformation")
    outputs: dict[str, str] = {}
    for part in PARTS:
        try:
            stack = describe_stack(client, f"sluice-{target.stage}-{part}")
        except (BotoCoreError, ClientError) as error:
            raise CommandError(f"CloudFormation did not answer: {error}") from error
        outputs |= {output["OutputKey"]: output["OutputValue"] for output in (stack or {}).get("Outputs", ())}
    if not outputs:
        where = client.meta.region_name
        raise CommandError(f"there is no stage {target.stage!r} in region {where}, for these credentials")
    return outputs


def describe_stack(client: Any, name: str) -> dict[str, Any] | None:
    """Describe a stack, or return None where there is none."""
    from botocore.exceptions import ClientError

    try:
        (stack,) = client.describe_stacks(StackName=name)["Stacks"]
    except ClientError as error:
        # So CloudFormation answers for a stack that is not there.
        if error.response["Error"]["Code"] == "ValidationError":
            return None
        raise
    found: dict[str, Any] = stack
    return found


def find_output(outputs: dict[str, str], name: str) -> str:
    """Find an output by its name, which the CDK ends in a hash."""
    for key, value in outputs.items():
        if re.fullmatch(rf"{name}[0-9A-F]{{8}}", key):
            return value
    raise CommandError(
        f"the stage's stacks have no output {name}: its pipeline is not deployed, or is of an older release"
    )


def locate_api(target: Target) -> str:
    """Return the address of a deployed stage's API, from its profile or else from its stacks."""
    return target.api or find_output(read_outputs(target), API)
