"""Say what this machine lacks for the local stack."""

import typer

from cli.stages import find_checkout


def run() -> None:
    """List what this machine lacks for the local stack.

    Each line says what is there, or what is missing and what to do about it. It ends with 1 if anything is missing.
    """
    checkout = find_checkout()
    # The commands that ask a stage do without the local stack.
    from local.doctor import examine

    findings = examine(checkout)
    width = max(len(one.what) for one in findings)
    for one in findings:
        print(f"{'missing' if one.missing else 'ok':8} {one.what:{width}}  {one.says}")
    if any(one.missing for one in findings):
        raise typer.Exit(1)
