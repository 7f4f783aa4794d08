"""`python -m local`: start, stop and show the local stack."""

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from infra.profiles import PROFILES
from local import background, foreground
from local.home import Home
from local.processes import ROOT, StackError, bound_to_us
from local.seed import FLEET

# Something that moves at once: the numbers of the fleet as a whole begin with the first whole minute.
LIVE_VIEW = f"#fleet={FLEET}&group=hall-1&range=5m"


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; what goes wrong is said in words."""
    given = _parse(arguments)
    home = Home(given.dir)
    try:
        match given.command:
            case "run":
                foreground.run(home, given.profile, given.owner)
            case "up":
                print(background.up(home, given.profile, given.owner))
                _show_dashboard(home)
            case "down":
                print(background.down(home))
            case "demo":
                return _demo(home, given.profile, given.simulator)
    except StackError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--dir", type=Path, default=ROOT / ".local", help="the stack's directory (default: .local)")
    start = argparse.ArgumentParser(add_help=False, parents=[common])
    start.add_argument(
        "--profile", default="test", choices=PROFILES, help="the settings it starts from (default: test)"
    )
    owned = argparse.ArgumentParser(add_help=False, parents=[start])
    owned.add_argument("--owner", type=int, metavar="PID", help="stop when this process ends")

    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", parents=[owned], help="start a stack in the background; return when it is healthy")
    commands.add_parser("run", parents=[owned], help="run a stack until Ctrl-C")
    commands.add_parser("down", parents=[common], help="stop the stack and remove its data")
    demo = commands.add_parser("demo", parents=[start], help="show a fleet posting to a stack, started if need be")
    demo.add_argument("simulator", nargs="*", help="arguments for the simulator, after --")
    return parser.parse_args(arguments)


def _show_dashboard(home: Home) -> None:
    if running := home.description():
        print(f"the dashboard: {running['api']}/ (log in with {running['keys']['reader']})", flush=True)
        print(f"one hall, live: {running['api']}/{LIVE_VIEW}", flush=True)


def _demo(home: Home, profile: str, simulator: list[str]) -> int:
    """Run the simulator against the stack; a stack that was started for it ends with it."""
    ours = home.supervisor() is None
    if ours:
        print("starting the stack ...", flush=True)
    try:
        print(background.up(home, profile, owner=os.getpid() if ours else None), flush=True)
        _show_dashboard(home)
        command = [sys.executable, "-m", "cli", "simulate", "--alert", "--dir", str(home.directory), *simulator]
        # It must not go on posting without us.
        with subprocess.Popen(bound_to_us(command, signal.SIGTERM), cwd=ROOT) as shown:
            try:
                return shown.wait()
            except KeyboardInterrupt:
                shown.wait()  # it got the Ctrl-C too and says good-bye
                return 0
    finally:
        if ours:
            print(background.down(home), flush=True)


if __name__ == "__main__":
    sys.exit(main())
