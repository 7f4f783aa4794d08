import math
from datetime import datetime

import pytest

from sluice.edge.rollup_archive.tables import SCHEMA, NamedMetric, read_copy, total

METRICS = {1: NamedMetric("cpu_temp", "C"), 7: NamedMetric("vibration", "mm/s")}
NUMBERS = ",".join(['"{0.1,5e-324}"'] * 7)
ZERO = 2**31


def line(device: str, keys: str, counts: str, numbers: str, bins: str, bin_counts: str) -> bytes:
    return f'acme,{device},1772366400000,"{keys}","{counts}",{numbers},"{bins}","{bin_counts}"\n'.encode()


def test_a_row_becomes_one_for_each_metric_with_its_own_bins() -> None:
    bins = f"{{{(1 << 32) + ZERO - 3},{(1 << 32) + ZERO + 9},{(7 << 32) + ZERO - 4194304}}}"
    table = read_copy(line("press-1", "{1,7}", "{6,2}", NUMBERS, bins, "{4,2,2}"), METRICS)
    assert table.schema == SCHEMA
    first, second = table.to_pylist()
    assert (first["metric"], first["unit"], first["count"]) == ("cpu_temp", "C", 6)
    assert (first["bins"], first["bin_counts"]) == ([-3, 9], [4, 2])
    assert (second["metric"], second["unit"], second["count"]) == ("vibration", "mm/s", 2)
    assert (second["bins"], second["bin_counts"]) == ([-4194304], [2])
    assert first["window_start"] == second["window_start"] == datetime(2026, 3, 1, 12)  # noqa: DTZ001 - UTC, unsaid
    assert {first[name] for name in ("avg", "min", "max", "p50", "p95", "sum", "m2")} == {0.1}
    assert {second[name] for name in ("avg", "min", "max", "p50", "p95", "sum", "m2")} == {5e-324}


def test_bins_are_not_given_to_the_next_row_with_the_same_metric() -> None:
    one = ",".join(['"{1}"'] * 7)
    row = (
        line(device, "{1}", "{3}", one, f"{{{(1 << 32) + ZERO + place}}}", "{3}") for place, device in enumerate("abc")
    )
    table = read_copy(b"".join(row), METRICS)
    assert table["bins"].to_pylist() == [[0], [1], [2]]


@pytest.mark.parametrize(
    ("written", "device_id"), [("", None), ('""', ""), ('"a ""b"", c"', 'a "b", c'), ('"x\ny"', "x\ny")]
)
def test_names_are_read_as_they_are_and_none_is_no_name(written: str, device_id: str | None) -> None:
    one = ",".join(['"{1}"'] * 7)
    table = read_copy(line(written, "{1}", "{3}", one, "{}", "{}"), METRICS)
    assert table["device_id"].to_pylist() == [device_id]
    assert table["bins"].to_pylist() == [[]]


def test_totals_count_rows_events_and_what_is_in_bins() -> None:
    bins = f"{{{(1 << 32) + ZERO},{(7 << 32) + ZERO},{(7 << 32) + ZERO + 1}}}"
    rows = line("a", "{1,7}", "{6,2}", NUMBERS, bins, "{6,1,1}") + line("b", "{1,7}", "{4,2}", NUMBERS, bins, "{4,1,1}")
    totals = total(read_copy(rows, METRICS))
    assert (totals["cpu_temp"].rows, totals["cpu_temp"].events, totals["cpu_temp"].binned) == (2, 10, 10)
    assert (totals["vibration"].rows, totals["vibration"].events, totals["vibration"].binned) == (2, 4, 4)
    assert math.isclose(totals["cpu_temp"].total, 0.2)
