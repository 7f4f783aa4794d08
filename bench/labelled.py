"""How the rules for a file score on labelled series that lie beside the repository: they are not part of it.

The directory has `windows.json` (when each series of `data/` was abnormal) and `score.py`, which counts. Both come with
the series, so that the author of the rules does not judge them.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

SERIES = Path(__file__).parents[2] / "shared" / "nab"


def score(directory: Path = SERIES) -> str | None:
    """Test the rules on every series by the command line, and return what the scorer says; None without series."""
    if not directory.is_dir():
        return None
    names = json.loads((directory / "windows.json").read_text())
    opened = {name: _find_incidents(directory / "data" / name) for name in names}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as found:
        json.dump(opened, found)
        found.flush()
        return _run([str(directory / "score.py"), found.name, "--dir", str(directory)])


def _find_incidents(series: Path) -> list[str]:
    said = _run(["-m", "cli", "detect", "backtest", "--csv", str(series), "--json"])
    return [incident["opened"] for incident in json.loads(said)["incidents"]]


def _run(arguments: list[str]) -> str:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=True).stdout
