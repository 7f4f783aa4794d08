"""What a backtest keeps of the rows that it reads."""

from datetime import datetime, timedelta

import pyarrow as pa

from sluice.edge.backtest.reading import pick

START = datetime(2026, 11, 30)  # noqa: DTZ001 - as files and copies have it


def test_of_many_series_silence_keeps_each_minute_once() -> None:
    series, minutes = 50, 20
    at = [START + timedelta(minutes=number) for number in range(minutes) for _ in range(series)]
    table = pa.table(
        {
            "device_id": pa.array(["a"] * len(at)),
            "metric": pa.array([f"series-{number}" for number in range(series)] * minutes),
            "window_start": pa.array(at, pa.timestamp("ms")),
        }
    )
    picked = pick(table, silence=True)
    assert picked.column_names == ["device_id", "window_start"]
    assert sorted(picked["window_start"].to_pylist()) == at[::series]
