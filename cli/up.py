"""Start the local stack."""

from cli.local_stack import Settings, become
from cli.stages import Directory


def run(profile: Settings = "test", directory: Directory = None) -> None:
    """Start the local stack in the background.

    It returns when the stack is healthy, and prints the dashboard's address. Where a stack runs already, it stays.
    """
    become("up", directory, ["--profile", profile])
