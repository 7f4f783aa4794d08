"""`sluice profile`: name deployed stages, so that `--stage NAME` finds them."""

import re
from pathlib import Path
from typing import Annotated

import typer

from cli.aws import API, find_output, open_client, read_outputs
from cli.profile.file import Profile, load_profiles, save_profiles
from cli.stages import CommandError, Target, list_profiles
from cli.terminal import print_table

app = typer.Typer(add_completion=False, help="Remember deployed stages by a name, for --stage.", no_args_is_help=True)

NAMES = re.compile(r"[a-z0-9][a-z0-9-]*")


@app.command()
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What --stage is to call it.")],
    stage: Annotated[str, typer.Option(metavar="STAGE", help="The stage as it was deployed. Without: NAME.")] = "",
    region: Annotated[
        str, typer.Option(metavar="REGION", help="Its region. Without: that of the AWS configuration.")
    ] = "",
    aws_profile: Annotated[
        str, typer.Option(metavar="PROFILE", help="The AWS profile to ask it with. Without: AWS's default.")
    ] = "",
) -> None:
    """Remember a deployed stage by a name.

    Its region and the outputs of its stacks are read and kept, without a secret. A profile of that name is replaced.
    """
    if not NAMES.fullmatch(name):
        raise CommandError(f"{name!r} is no name of lower-case letters, digits and dashes", 2)
    target = Target(stage or name, Path(), region or None, aws_profile or None)
    outputs = read_outputs(target)
    where = open_client(target, "cloudformation").meta.region_name
    found = Profile(target.stage, where, target.aws_profile, find_output(outputs, API), outputs)
    save_profiles(load_profiles() | {name: found})
    print(f"--stage {name} is stage {found.stage} in {found.region}: {found.api}")


@app.command("list")
def list_all() -> None:
    """List the profiles."""
    rows = [(name, one.stage, one.region, one.aws_profile or "", one.api) for name, one in load_profiles().items()]
    print_table(("name", "stage", "region", "aws profile", "api"), rows)


@app.command()
def remove(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The profile.", autocompletion=list_profiles)],
) -> None:
    """Forget a profile; the stage stays as it is."""
    profiles = load_profiles()
    if name not in profiles:
        raise CommandError(f"there is no profile {name!r}; there are: {', '.join(profiles) or 'none'}", 2)
    save_profiles({other: one for other, one in profiles.items() if other != name})
    print(f"{name} is forgotten")
