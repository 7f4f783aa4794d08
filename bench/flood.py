"""`python -m bench.flood`: what a flood without keys does to a fleet's answers, with the firewall's rule and without.

A fleet posts alone and beside a flood that a stand-in for WAF refuses, in turn, so that what else the machine does
meanwhile meets both. Then it posts beside a flood without the rule. At the end every accepted event is looked for.
"""

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from bench.gateways import Account, Gateway, Site
from bench.load import AT_ONCE, GATEWAYS, SHARES, STEADY, catch_up, create_fleet
from bench.stack import running_stack
from local.processes import ROOT

FLEET = STEADY[0]
FEW, MANY = 8, 64
"""Connections of a flood. The local gateway answers the requests of a connection one after the other."""


def main() -> int:
    """Start a stack and measure; fails if behind the rule an answer is none of 202, or an accepted event is missing."""
    parser = argparse.ArgumentParser(prog="python -m bench.flood", description=__doc__)
    parser.add_argument("--rate", type=float, default=1000, help="events a second of the fleet (default: 1000)")
    parser.add_argument("--flood", type=float, default=5000, help="requests a second of the flood (default: 5000)")
    parser.add_argument("--seconds", type=float, default=15, help="how long the fleet posts at a time (default: 15)")
    parser.add_argument("--rounds", type=int, default=3, help="how often alone, and beside the flood (default: 3)")
    options = parser.parse_args()
    with running_stack() as stack:
        return measure(stack, options)


def measure(stack: dict[str, Any], options: argparse.Namespace) -> int:
    """Run the phases one after the other."""
    key, seconds = create_fleet(stack, FLEET), options.seconds
    gateways = [Gateway(number, 1) for number in range(GATEWAYS)]
    alone, beside, without = Account(), Account(), Account()
    print(f"load of the machine before: {os.getloadavg()[0]:.1f}")

    def post(api: str, account: Account) -> None:
        site = Site(api, key, gateways, options.rate, AT_ONCE)
        site.account = account
        asyncio.run(site.run(seconds, 0))

    with run_waf_stand_in(stack["api"], key.split("_")[1]) as guarded:
        post(guarded, warm := Account())
        for _ in range(options.rounds):
            post(guarded, alone)
            with flooding(guarded, options.flood, seconds, FEW):
                post(guarded, beside)
    usual = report("alone", alone, None)
    report("beside the flood that the rule refuses", beside, usual)
    with flooding(stack["api"], options.flood, seconds, MANY):
        post(stack["api"], without)
    report("beside the flood without the rule", without, usual)
    print(f"load of the machine after: {os.getloadavg()[0]:.1f}")
    accepted = {number for account in (warm, alone, beside, without) for number in account.accepted}
    missing = catch_up(stack, accepted)
    print(f"\n{len(accepted):,} events accepted; missing: {missing}")
    harmed = set(alone.answers) | set(beside.answers) != {"202"}
    return 1 if harmed or any(missing.values()) else 0


@contextlib.contextmanager
def run_waf_stand_in(api: str, stage: str) -> Iterator[str]:
    """Start the stand-in for WAF; its address."""
    command = [sys.executable, "-m", "bench.flood_traffic", "front", api, "--stage", stage]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None  # noqa: S101 -- it was asked for
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


@contextlib.contextmanager
def flooding(api: str, rate: float, seconds: float, connections: int) -> Iterator[None]:
    """Flood beside what is done meanwhile, and print what became of it."""
    command = [sys.executable, "-m", "bench.flood_traffic", "flood", f"{api}/v1/events"]
    command += ["--rate", str(rate), "--seconds", str(seconds), "--connections", str(connections)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        yield
        said, _ = process.communicate(timeout=60)
    found = json.loads(said)
    answers = ", ".join(f"{count:,} x {status}" for status, count in sorted(found["answers"].items()))
    print(
        f"flood: {found['offered_a_second']:,.0f} requests a second offered,"
        f" {found['answered_a_second']:,.0f} answered; {answers}; {found['unanswered']:,} not answered",
        flush=True,
    )


def report(name: str, account: Account, usual: dict[str, float] | None) -> dict[str, float]:
    """Print a fleet's answers, compared with what is usual; returns how long they took."""
    waits = sorted(seconds for _, seconds in account.waits)
    took = {share: waits[min(len(waits) - 1, int(part * len(waits)))] for share, part in SHARES.items()}
    answers = ", ".join(f"{count:,} x {said}" for said, count in sorted(account.answers.items()))
    compared = "" if usual is None else f"; p95 is {took['p95'] / usual['p95']:.2f} of that alone"
    print(f"{name}: {', '.join(f'{share} {seconds:.3f}' for share, seconds in took.items())} s{compared}")
    given_up = f"; {account.given_up:,} events given up" if account.given_up else ""
    print(f"  {answers}{given_up}", flush=True)
    return took


if __name__ == "__main__":
    sys.exit(main())
