"""Check on a deployed stage what no local test can show."""

import os
import secrets
from functools import partial
from typing import Annotated

import typer

from cli.aws import open_client
from cli.stage_checks import CANARY, CHECKS, CheckFailed, DeployedStage, run_checks
from cli.stages import CommandError, Target, choose, list_profiles


def run(
    stage: Annotated[
        str,
        typer.Option(
            "--stage", metavar="STAGE", help="The deployed stage, or a profile's.", autocompletion=list_profiles
        ),
    ] = "",
    patience: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="How many seconds posted events may take to appear.")
    ] = 900,
) -> None:
    """Check on a deployed stage what no local test can show.

    It prints pass or fail for each assumption of docs/only-aws-can-tell.md that a program can check, and ends with 1
    if one fails. It needs two keys of one fleet in the environment: a device key as KEY, with which it posts 50 events,
    and a reader key as READER_KEY, with which it reads their numbers back. Without one, the last check fails as not
    tried. Everything else only reads.
    """
    if not stage:
        raise CommandError("the local stack cannot tell: say which deployed stage by --stage", 2)
    target = choose(stage, None)
    deployed = DeployedStage(target.stage, lambda service: open_client(target, service))
    checks = [(assumption, partial(check, deployed)) for assumption, check in CHECKS.items()]
    outcomes = run_checks([*checks, (CANARY, partial(_post, target, patience))])
    for outcome in outcomes:
        print(f"{'pass' if outcome.holds else 'fail'}  {outcome.assumption}: {outcome.says}")
    if not all(outcome.holds for outcome in outcomes):
        raise typer.Exit(1)


def _post(target: Target, patience: float) -> str:
    """Post as devices do, and read back."""
    from cli.canary import BATCH, check, find_api

    for name in ("KEY", "READER_KEY"):
        if not os.environ.get(name):
            raise CheckFailed(f"not tried: {name} is not in the environment")
    faults = check(target, find_api(target, ""), f"smoke-{secrets.token_hex(4)}", BATCH, patience)
    if faults:
        raise CheckFailed(f"{len(faults)} faults, the first: {faults[0]}")
    return f"{BATCH} events posted and read back"
