"""Stop the local stack."""

from cli.local_stack import become
from cli.stages import Directory


def run(directory: Directory = None) -> None:
    """Stop the local stack and remove its data."""
    become("down", directory)
