"""The file that keeps a person's profiles. It holds names and addresses, and no secrets."""

import os
from pathlib import Path

import msgspec

from cli.stages import CommandError


class Profile(msgspec.Struct, frozen=True):
    """A deployed stage: its region, the AWS profile whose credentials may ask it, and its stacks' outputs."""

    stage: str
    region: str
    aws_profile: str | None
    api: str
    outputs: dict[str, str]


def find_file() -> Path:
    """Return where the file is, for this user."""
    config = os.environ.get("XDG_CONFIG_HOME")
    return (Path(config) if config else Path.home() / ".config") / "sluice" / "stages.json"


def load_profiles() -> dict[str, Profile]:
    """Load the profiles by their names."""
    file = find_file()
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Profile])
    except FileNotFoundError:
        return {}
    except msgspec.DecodeError as error:
        raise CommandError(f"{file} cannot be read: {error}; correct or remove it", 2) from error


def save_profiles(profiles: dict[str, Profile]) -> None:
    """Replace the profiles; a reader sees all of the file or nothing."""
    file = find_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(".unfinished")
    unfinished.write_bytes(msgspec.json.format(msgspec.json.encode(profiles)) + b"\n")
    unfinished.rename(file)
