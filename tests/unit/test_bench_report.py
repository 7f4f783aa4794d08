"""The comparison that `make bench` prints with a recorded release."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import report
from bench.report import RECORD, Report


@pytest.fixture(autouse=True)
def yardstick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[float]]:
    """The seconds of the yardstick, one for each run."""
    seconds = [1.0, 2.0]
    monkeypatch.setattr(report, "BASELINE", tmp_path / "baseline.json")
    monkeypatch.setattr(report, "measure_yardstick", lambda: seconds.pop(0))
    yield seconds
    assert not seconds


def run(time: float, size: float) -> None:
    ours = Report("part", 10)
    ours.table("a table", ["time", "size"])
    ours.line("a line", [time, size], timed=1)
    ours.end()


def test_times_are_compared_as_if_on_the_recorded_machine_and_sizes_as_they_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(RECORD, "yes")
    run(10.0, 100.0)
    monkeypatch.delenv(RECORD)
    run(30.0, 300.0)
    *_, title, line = capsys.readouterr().out.splitlines()
    assert "takes 2.00 times as long now" in title
    assert line.split() == ["a", "table:", "a", "line", "1.50", "x", "3.00", "x"]
