"""Say what this machine lacks for the local stack."""

import typer

from cli.stages import CommandError, find_checkout


def run() -> None:
    """List what this machine lacks for the local stack.

    Each line says what is there, or what is missing and what to do about it. It ends with 1 if anything is missing.
    """
    checkout = find_checkout()
    # Imported here: the commands that ask a stage do without the local stack.
    try:
        from local.doctor import examine
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "local":
            raise
        raise CommandError(f"missing  the Python package {error.name}: run `make setup`") from error

    findings = examine(checkout)
    width = max(len(one.what) for one in findings)
    for one in findings:
        print(f"{'missing' if one.missing else 'ok':8} {one.what:{width}}  {one.says}")
    if any(one.missing for one in findings):
        raise typer.Exit(1)
