"""The root of `sluice`, which loads the command that is run and no other."""

import importlib
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from cli.commands import COMMANDS, name_module, write_help

PACKAGE = Path(__file__).parent


class Root(TyperGroup):
    """The commands by their names: each is a line of text until it is run or completed."""

    def __init__(self, **settings: Any) -> None:
        listed = {name: TyperCommand(name, help=line) for name, line in COMMANDS.items()}
        super().__init__(**settings | {"commands": listed})

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Find the command that the first argument names, and load it."""
        name, found, rest = super().resolve_command(ctx, args)
        return name, None if found is None or name is None else load(name), rest

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - as Typer calls it
        """Write the list of commands."""
        formatter.write("\n".join(write_help()))


def load(name: str) -> Any:
    """Load a command or a group."""
    module = name_module(name)
    if (PACKAGE / module.removeprefix("cli.")).is_dir():
        loaded = importlib.import_module(f"{module}.command").app
    else:
        loaded = typer.Typer(add_completion=False)
        loaded.command(name)(importlib.import_module(module).run)
    # Rich takes longer to load than most commands to run; tables load it where they need it.
    loaded.rich_markup_mode = None
    command = get_command(loaded)
    command.name = name
    return command


app = typer.Typer(cls=Root, rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]})


def print_version(asked: bool) -> None:
    """Print the version and end."""
    if asked:
        print(f"sluice {read_version()}")
        raise typer.Exit


def read_version() -> str:
    """Read the version of the checkout, or else of the installed package."""
    project = PACKAGE.parent / "pyproject.toml"
    if project.is_file():
        import tomllib

        return str(tomllib.loads(project.read_text())["project"]["version"])
    from importlib.metadata import version

    return version("sluice")


@app.callback()
def sluice(
    _version: Annotated[bool, typer.Option("--version", callback=print_version, is_eager=True)] = False,
) -> None:
    """One command line for people who run Sluice."""
