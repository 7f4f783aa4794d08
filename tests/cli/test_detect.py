"""`sluice detect backtest`: a series in a file, and the incidents that would have been opened."""

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from cli.__main__ import main


def write(path: Path, *values: object, first: str = "timestamp,value") -> Path:
    start = datetime(2026, 11, 1)  # noqa: DTZ001 - as such files have it
    lines = (f"{start + number * timedelta(minutes=5)},{value}" for number, value in enumerate(values))
    path.write_text("\n".join([first, *lines]) + "\n")
    return path


def test_the_incidents_of_a_file_are_listed_by_its_own_timestamps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = [number % 7 for number in range(400)]
    values[350] = 70
    file = write(tmp_path / "series.csv", *values)
    assert main(["detect", "backtest", "--csv", str(file), "--json"]) == 0
    (incident,) = json.loads(capsys.readouterr().out)["incidents"]
    assert incident == {
        "opened": "2026-11-02 05:10:00",
        "rule": "range",
        "value": 70.0,
        "why": "the reading is 70; the 350 before were 0 to 6",
    }
    assert main(["detect", "backtest", "--csv", str(file)]) == 0
    assert "the reading is 70" in capsys.readouterr().out


def test_a_quiet_series_has_no_incident(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["detect", "backtest", "--csv", str(write(tmp_path / "quiet.csv", *[1.5] * 500)), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"incidents": []}


@pytest.mark.parametrize(
    ("value", "first", "said"),
    [
        ("warm", "timestamp,value", "line 3: 'warm' is no number"),
        ("nan", "timestamp,value", "line 3: the value is nan"),
        ("", "timestamp,value", "line 3: '' is no number"),
        ("1", "time,value", "has no column timestamp"),
        ("1", "timestamp,reading", "has no column value"),
    ],
)
def test_a_file_that_is_no_series_is_refused_with_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], value: str, first: str, said: str
) -> None:
    file = write(tmp_path / "series.csv", 1, value, first=first)
    assert main(["detect", "backtest", "--csv", str(file), "--json"]) == 2
    assert said in capsys.readouterr().err


def test_a_time_that_is_none_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "series.csv"
    file.write_text("timestamp,value\nyesterday,1\n")
    assert main(["detect", "backtest", "--csv", str(file)]) == 2
    assert "line 2: 'yesterday' is no time" in capsys.readouterr().err
    file.write_bytes(b"timestamp,value\n\xff,1\n")
    assert main(["detect", "backtest", "--csv", str(file)]) == 2
    assert "is no CSV file in UTF-8" in capsys.readouterr().err
