"""Settle on a deployed stage what only AWS can tell."""

import os
import secrets
from functools import partial
from typing import Annotated

import typer

from cli.aws import open_client
from cli.stage_checks import CANARY, CHECKS, Disproof, Stage, settle
from cli.stages import CommandError, Target, choose
from cli.stages import Stage as StageOption


def run(
    stage: StageOption = "",
    patience: Annotated[
        float, typer.Option(metavar="SECONDS", min=0, help="How many seconds posted events may take to appear.")
    ] = 900,
) -> None:
    """Settle on a deployed stage what only AWS can tell.

    It prints pass or fail for each belief of docs/only-aws-can-tell.md that a program can settle, and ends with 1 if
    one fails. With a device key as KEY in the environment it posts a few events too, as the canary does; with a reader
    key as READER_KEY it reads their numbers back. Everything else only reads.
    """
    if not stage:
        raise CommandError("the local stack cannot tell: say which deployed stage by --stage", 2)
    target = choose(stage, None)
    deployed = Stage(target.stage, lambda service: open_client(target, service))
    beliefs = [(belief, partial(check, deployed)) for belief, check in CHECKS.items()]
    outcomes = settle([*beliefs, (CANARY, partial(_post, target, patience))])
    for outcome in outcomes:
        print(f"{'pass' if outcome.holds else 'fail'}  {outcome.belief}: {outcome.says}")
    if not all(outcome.holds for outcome in outcomes):
        raise typer.Exit(1)


def _post(target: Target, patience: float) -> str:
    """Post as devices do, and read back."""
    from cli.canary import BATCH, check, find_api

    if not os.environ.get("KEY"):
        raise Disproof("not tried: there is no device key as KEY in the environment")
    faults = check(target, find_api(target, ""), f"smoke-{secrets.token_hex(4)}", BATCH, patience)
    if faults:
        raise Disproof(f"{len(faults)} faults, the first: {faults[0]}")
    return f"{BATCH} events posted and read back"
