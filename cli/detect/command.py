"""`sluice detect`: what the rules for anomalies would have found."""

from pathlib import Path
from typing import Annotated

import typer

from cli.control.output import show_json, show_list
from cli.detect.series import read_series
from sluice.core.detect.incidents import open_incidents
from sluice.core.detect.rules import default_rules

app = typer.Typer(add_completion=False, no_args_is_help=True, help="Try the rules for anomalies on a series.")


@app.callback()
def detect() -> None:
    """Keep the command below the group, although it is the only one."""


@app.command()
def backtest(
    series: Annotated[
        Path,
        typer.Option(
            "--csv",
            metavar="FILE",
            help="The series: columns timestamp and value, in the order in which they came.",
            exists=True,
            dir_okay=False,
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the incidents that the rules for a series in a file would have opened.

    The file is read as a stream: a reading is judged by those before it alone. The JSON has the incidents, each with
    the timestamp as it is in the file (opened), the rule and why.
    """
    opened = open_incidents(read_series(series), default_rules())
    found = [
        {"opened": each.reading.timestamp, "rule": each.rule, "value": each.reading.value, "why": each.why}
        for each in opened
    ]
    if as_json:
        show_json({"incidents": found})
    else:
        show_list(found, ("opened", "rule", "why"), as_json=False)
