"""Say what this machine lacks for the local stack, or an AWS account for a deployment."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.stages import CommandError, find_checkout

if TYPE_CHECKING:
    from local.findings import Finding


def run(
    aws: Annotated[
        bool, typer.Option("--aws", help="Ask an AWS account, before a deployment, by calls that only read.")
    ] = False,
    stage: Annotated[str, typer.Option(metavar="STAGE", help="With --aws: the stage to be deployed.")] = "dev",
    profile: Annotated[str, typer.Option(metavar="PROFILE", help="With --aws: its profile.")] = "dev",
    region: Annotated[
        str, typer.Option(metavar="REGION", help="With --aws: its region. Without: that of cdk.json.")
    ] = "",
    aws_profile: Annotated[
        str, typer.Option(metavar="PROFILE", help="With --aws: the AWS profile to ask with. Without: AWS's default.")
    ] = "",
    zones: Annotated[str, typer.Option(metavar="ZONES", help="With --aws: ZONES of the deployment.")] = "",
    firehose_mib: Annotated[
        str, typer.Option(metavar="NUMBER", help="With --aws: FIREHOSE_MIB of the deployment.")
    ] = "",
    reserve: Annotated[str, typer.Option(metavar="yes|no", help="With --aws: RESERVE of the deployment.")] = "yes",
) -> None:
    """List what this machine lacks for the local stack, or with --aws what an account lacks for a deployment.

    Each line says what is there, or what is missing and what to do about it. It ends with 1 if anything is missing.
    """
    checkout = find_checkout()
    if aws:
        given = {"zones": zones, "firehose_mib": firehose_mib, "reserve": reserve}
        findings = _ask_account(checkout, stage, profile, region, aws_profile, given)
    else:
        findings = _examine_machine(checkout)
    from local.findings import write_findings

    print(*write_findings(findings), sep="\n")
    if any(one.missing for one in findings):
        raise typer.Exit(1)


def _examine_machine(checkout: Path) -> "list[Finding]":
    # Imported here: the commands that ask a stage do without the local stack.
    try:
        from local.doctor import examine
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "local":
            raise
        raise CommandError(f"missing  the Python package {error.name}: run `make setup`") from error
    return examine(checkout)


def _ask_account(
    checkout: Path, stage: str, profile: str, region: str, aws_profile: str, given: dict[str, str]
) -> "list[Finding]":
    # Imported here: the profiles import the CDK.
    from cli.account.examination import examine
    from cli.account.needs import read_needs, read_region
    from cli.stages import Target

    try:
        where = region or read_region(checkout)
        needs = read_needs(stage, profile, where, given)
    except ValueError as error:
        raise CommandError(str(error), 2) from error
    return examine(needs, Target(stage, checkout, where, aws_profile or None))
