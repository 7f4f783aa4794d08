"""`sluice detect`: what the rules for anomalies would have found."""

from pathlib import Path
from typing import Annotated, Any

import typer

from cli.control.client import Client
from cli.control.options import AsRole, check_fleet, connect
from cli.control.output import show_json, show_list
from cli.detect.backtests import ask_backtest, read_rule, watch_until_over
from cli.detect.series import read_series
from cli.detect.text import write_result
from cli.stages import CommandError, Directory, Stage, choose
from cli.terminal import make_visible
from sluice.core.backtest.pace import MOST_DAYS
from sluice.core.detect.incidents import open_incidents
from sluice.core.detect.rules import default_rules

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Try the rules for anomalies on stored data, or on a file."
)


@app.callback()
def detect() -> None:
    """Keep the command below the group, although it is the only one."""


@app.command()
def backtest(
    rule: Annotated[
        str | None,
        typer.Argument(
            metavar="RULE",
            help="The id of a saved rule or of a default; or a file with a rule as JSON (`sluice rules show --json`).",
        ),
    ] = None,
    fleet: Annotated[
        str | None,
        typer.Option("--fleet", metavar="FLEET", help="The fleet whose stored data is judged.", callback=check_fleet),
    ] = None,
    days: Annotated[
        int | None, typer.Option("--days", min=1, max=MOST_DAYS, help="The days before now. Without: 7.")
    ] = None,
    series: Annotated[
        Path | None,
        typer.Option(
            "--csv",
            metavar="FILE",
            help="A series in a file: columns timestamp and value, in the order in which they came.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    stage: Stage = "",
    directory: Directory = None,
    role: AsRole = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the incidents that a rule would have opened: over a fleet's stored data, or for a series in a file.

    Over stored data RULE judges the last days, and the JSON is a Backtest of schemas/admin.yaml. A file has rules of
    its own, and is read as a stream: a reading is judged by those before it alone. Its JSON has the incidents, each
    with the timestamp as it is in the file (opened), the rule and why.
    """
    if series is not None:
        if rule is not None or fleet is not None or days is not None:
            raise CommandError("--csv takes no RULE, --fleet or --days: a file has its own rules", 2)
        _test_file(series, as_json)
        return
    if rule is None:
        raise CommandError("name a RULE with --fleet, or a file with --csv", 2)
    if fleet is None:
        raise CommandError("--fleet is missing: the fleet whose stored data is judged", 2)
    wanted = {"rule": read_rule(rule), **({} if days is None else {"days": days})}
    _test_stored(connect(choose(stage, directory), role), fleet, wanted, as_json)


def _test_stored(client: Client, fleet: str, wanted: dict[str, Any], as_json: bool) -> None:
    ended = watch_until_over(client, ask_backtest(client, fleet, wanted), quiet=as_json)
    if as_json:
        show_json(ended)
    if ended["state"] != "done":
        raise CommandError(f"{ended['backtest_id']} has failed: {ended['trouble'] or 'no reason is known'}")
    if not as_json:
        _show_result(ended["result"])


def _test_file(series: Path, as_json: bool) -> None:
    opened = open_incidents(read_series(series), default_rules())
    found = [
        {"opened": each.reading.timestamp, "rule": each.rule, "value": each.reading.value, "why": each.why}
        for each in opened
    ]
    if as_json:
        show_json({"incidents": found})
    else:
        show_list(found, ("opened", "rule", "why"), as_json=False)


def _show_result(result: dict[str, Any]) -> None:
    if result["first_incidents"]:
        shown = [each | {"examples": each["device_ids"]} for each in result["first_incidents"]]
        show_list(shown, ("opened_at", "resolved_at", "devices", "examples", "value", "why"), as_json=False)
        print()
    print(*map(make_visible, write_result(result)), sep="\n")
