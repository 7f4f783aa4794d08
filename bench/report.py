"""A part's report: its figures, and then each beside the same figure of a recorded release.

Machines differ, and so do hours of one machine. So every time is first divided by the yardstick, the CPU time of one
small job in the same run. A ratio above 1 means that the figure is higher than it was.
"""

import json
import os
import platform
import subprocess
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

BASELINE = Path(__file__).with_name("baseline.json")
RECORD = "BENCH_RECORD"
"""The variable with which a run replaces its part of the baseline."""

_LABEL = 58
_YARDSTICK_ROUNDS = 7


class Report:
    """One part's tables."""

    def __init__(self, part: str, width: int) -> None:
        self._part = part
        self._width = width
        self._title = ""
        self._figures: dict[str, list[float]] = {}
        self._timed: dict[str, int] = {}

    def table(self, title: str, columns: Sequence[str] = ()) -> None:
        """Begin a table."""
        self._title = title
        print()
        self._print(title, columns)

    def line(self, label: str, figures: Sequence[float], form: str = ",.1f", timed: int | None = None) -> None:
        """Print one line of figures. `timed` says how many of the first ones are times; by default all of them."""
        name = f"{self._title}: {label.strip()}"
        self._figures[name], self._timed[name] = list(figures), len(figures) if timed is None else timed
        self._print(label, [format(figure, form) for figure in figures])

    def end(self) -> None:
        """Compare all figures with those of the recorded release, or record them."""
        yardstick = measure_yardstick()
        recorded = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
        if os.environ.get(RECORD):
            recorded[self._part] = {**describe_run(), "yardstick": yardstick, "figures": self._figures}
            BASELINE.write_text(json.dumps(recorded, indent=1, sort_keys=True) + "\n")
            print(f"\nrecorded in {BASELINE.name}")
        elif self._part in recorded:
            self._compare(recorded[self._part], yardstick)

    def _compare(self, recorded: dict[str, Any], yardstick: float) -> None:
        slower = yardstick / recorded["yardstick"]
        title = f"compared with {recorded['commit']} of {recorded['date']}"
        print(f"\n{title}, on {recorded['machine']}; the yardstick takes {slower:.2f} times as long now")
        for name, figures in self._figures.items():
            before = recorded["figures"].get(name, [])
            scales = [slower if place < self._timed[name] else 1.0 for place in range(len(figures))]
            compared = zip(figures, scales, before, strict=False)
            self._print(name, [f"{now / scale / then:.2f} x" if then else "-" for now, scale, then in compared])

    def _print(self, label: str, cells: Sequence[str]) -> None:
        print(f"{label:{_LABEL}}" + "".join(f"{cell:>{self._width}}" for cell in cells), flush=True)


def measure_yardstick() -> float:
    """Return the CPU seconds of a job of the kind that our functions do, the best of some rounds."""
    best = float("inf")
    for _ in range(_YARDSTICK_ROUNDS):
        began = time.process_time()
        rows = [{"id": number, "name": str(number), "at": number / 7} for number in range(20_000)]
        sorted(json.loads(json.dumps(rows)), key=lambda row: str(row["name"]))
        best = min(best, time.process_time() - began)
    return best


def describe_run() -> dict[str, str]:
    """Say of what, when and where the figures are."""
    ran = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=True)
    cores = f"{os.cpu_count()} cores of {platform.machine()}, Python {platform.python_version()}"
    return {"commit": ran.stdout.strip(), "date": datetime.now(UTC).date().isoformat(), "machine": cores}
