"""What earlier steps left: the bootstrap of the region, and stacks of a deployment that failed."""

from datetime import datetime
from typing import Any

from cli.account.needs import MissingError, Needs
from cli.aws import PARTS, OpenClient, describe_stack

BOOTSTRAP = "/cdk-bootstrap/hnb659fds/version"
"""Where `cdk bootstrap` writes its version."""
BOOTSTRAP_VERSION = 6
"""What the stacks ask for."""
ON_THE_WAY = "IN_PROGRESS"


def find_bootstrap(needs: Needs, client_of: OpenClient, _now: datetime) -> str:
    """Find what `make bootstrap` sets up."""
    client = client_of("ssm")
    region = needs.deployment.region
    remedy = f"run `make bootstrap ACCOUNT=... REGION={region}`"
    try:
        version = int(client.get_parameter(Name=BOOTSTRAP)["Parameter"]["Value"])
    except client.exceptions.ParameterNotFound as error:
        raise MissingError(
            f"{region} is not prepared, and a deployment needs its bucket and roles: {remedy}"
        ) from error
    if version < BOOTSTRAP_VERSION:
        raise MissingError(f"{region} has version {version}, and the stacks need {BOOTSTRAP_VERSION}: {remedy}")
    return f"{region} has version {version}"


def find_stacks(needs: Needs, client_of: OpenClient, _now: datetime) -> str:
    """Find what an earlier deployment of the stage left, and say whether this is the first."""
    client = client_of("cloudformation")
    stacks = {name: stack for name in map(needs.deployment.named, PARTS) if (stack := describe_stack(client, name))}
    for name, stack in stacks.items():
        if remedy := _mend(name, needs.deployment.region, stack):
            raise MissingError(f"{name} is in {stack['StackStatus']}: {remedy}")
    says = f"{len(stacks)} of {len(PARTS)} stacks exist"
    # A stage that is protected has been deployed before: FIRST would lift its protection.
    protected = any(stack.get("EnableTerminationProtection") for stack in stacks.values())
    if len(stacks) < len(PARTS) and needs.deployment.keeps_data and not protected:
        says += ": deploy with FIRST=yes"
    return says


def _mend(name: str, region: str, stack: dict[str, Any]) -> str:
    """Say what to do about a stack that cannot be updated; nothing for any other."""
    status = stack["StackStatus"]
    if status == "REVIEW_IN_PROGRESS":
        return ""
    if status.endswith(ON_THE_WAY):
        return "wait until it has ended"
    where = f"--region {region} --stack-name {name}"
    unprotect = (
        f"run `aws cloudformation update-termination-protection --no-enable-termination-protection {where}`"
        if stack.get("EnableTerminationProtection")
        else ""
    )
    if status == "ROLLBACK_COMPLETE":
        # The CDK deletes such a stack by itself, if nothing protects it.
        return f"{unprotect}, and deploy with FIRST=yes" if unprotect else ""
    if status in ("ROLLBACK_FAILED", "DELETE_FAILED"):
        delete = f"`aws cloudformation delete-stack {where}`"
        return f"{unprotect}, then {delete}" if unprotect else f"run {delete}"
    if status == "UPDATE_ROLLBACK_FAILED":
        return f"run `aws cloudformation continue-update-rollback {where}`"
    return ""
