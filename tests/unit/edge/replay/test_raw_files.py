"""A replay sends what counts in its hours, of its fleet and devices, and each row of a file once."""

import io
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from sluice.core.events.envelope import HEADER as ENVELOPE
from sluice.core.events.envelope import read_envelope
from sluice.core.limits import Limits
from sluice.core.replay.chunks import FilePart
from sluice.core.replay.records import HEADER, Replayed, read_replayed
from sluice.core.times import CLOCK_AHEAD, LATE_ARRIVAL
from sluice.edge.replay import raw_files
from sluice.edge.replay.raw_files import Scope, choose, read_footer, read_messages
from tests.unit.edge.replay.parquet import row, tabulate, write_file

NINE, TEN = datetime(2026, 11, 20, 9, tzinfo=UTC), datetime(2026, 11, 20, 10, tzinfo=UTC)
HALF, TICK, MINUTE = NINE + timedelta(minutes=30), timedelta(microseconds=1), timedelta(minutes=1)
SCOPE = Scope("demo", None, NINE, TEN)
AHEAD = Limits().clock_ahead


def chosen(rows: list[dict[str, Any]], scope: Scope = SCOPE, without: tuple[str, ...] = ()) -> list[int]:
    """The offsets of the rows that are chosen."""
    found: list[int] = choose(tabulate(rows, without), scope, Limits())["kafka_offset"].to_pylist()
    return found


def test_other_fleets_and_other_devices_are_left_out() -> None:
    rows = [row(1, HALF), row(2, HALF, fleet_id="demo2"), row(3, HALF, device_id="press-2")]
    assert chosen(rows) == [1, 3]
    assert chosen(rows, Scope("demo", ("press-2", "press-9"), NINE, TEN)) == [3]
    assert chosen(rows, Scope("demo", (), NINE, TEN)) == []


def test_hours_begin_with_their_first_moment_and_end_before_their_last() -> None:
    rows = [row(at, moment) for at, moment in enumerate((NINE - TICK, NINE, TEN - TICK, TEN))]
    assert chosen(rows) == [1, 2]


def test_a_time_ahead_counts_by_its_reception() -> None:
    rows = [
        row(1, TEN + timedelta(hours=3), TEN - MINUTE),
        row(2, HALF, NINE - MINUTE),
        # Ahead by no more than clocks may be.
        row(3, TEN + AHEAD - MINUTE, TEN - MINUTE),
        row(4, NINE, NINE - AHEAD),
        row(5, NINE, NINE - AHEAD - TICK),
    ]
    assert chosen(rows) == [1, 4]


def test_copies_that_may_decide_are_sent_too_where_samples_no_longer_tell_of_them() -> None:
    hour, since = timedelta(hours=1), NINE - timedelta(hours=26)
    reaching = Scope("demo", None, NINE, TEN, since)
    rows = [
        # Nearby, and in time.
        row(1, NINE - 2 * hour),
        row(2, TEN + 2 * hour, TEN + hour),
        row(3, NINE - 3 * hour),
        # Late, and ahead by hours: an id that was settled.
        row(4, since - 9 * hour, since),
        row(5, NINE + 9 * hour, since),
        row(6, since - 9 * hour, since - TICK),
        row(7, HALF),
    ]
    assert chosen(rows) == [7]
    assert chosen(rows, reaching) == [1, 2, 4, 5, 7]


def test_a_flag_says_ahead_where_the_times_do_not() -> None:
    rows = [
        row(1, TEN + MINUTE, TEN - MINUTE, flags=["other", CLOCK_AHEAD]),
        row(2, TEN - MINUTE, TEN + MINUTE, flags=[CLOCK_AHEAD]),
        row(3, HALF, flags=[]),
        row(4, HALF, flags=[LATE_ARRIVAL]),
    ]
    assert chosen(rows) == [1, 3, 4]


@pytest.mark.parametrize("without", [("flags",), ("kafka_topic",), ("flags", "kafka_topic")])
def test_files_of_releases_without_a_column_are_read(without: tuple[str, ...]) -> None:
    rows = [row(1, HALF), row(2, TEN + timedelta(hours=2), TEN - MINUTE), row(3, TEN + MINUTE, TEN + MINUTE)]
    assert chosen(rows, without=without) == [1, 2]
    part = FilePart("a")
    messages = [*read_messages(io.BytesIO(write_file(rows, without)), part, SCOPE, Limits(), "replay-events", 5)]
    assert [read_replayed(dict(one.headers)[HEADER]).raw_offset for one in messages] == [1, 2]


def test_rows_of_other_topics_are_left_out_and_rows_that_name_none_are_of_raw_events() -> None:
    rows = [row(1, HALF, kafka_topic="replay-events"), row(2, HALF, kafka_topic=None), row(3, HALF)]
    assert chosen(rows) == [2, 3]


def test_a_table_of_several_chunks_is_chosen_from_as_one() -> None:
    rows = [
        row(at, HALF, TEN + MINUTE if at % 3 == 0 else None, flags=[CLOCK_AHEAD] if at % 3 == 0 else None)
        for at in range(12)
    ]
    table = pa.concat_tables([tabulate(rows[:5]), tabulate(rows[5:])])
    assert choose(table, SCOPE, Limits())["kafka_offset"].to_pylist() == [at for at in range(12) if at % 3]


@pytest.mark.parametrize("int96", [True, False])
def test_a_record_is_the_event_as_it_was_sent_under_the_envelope_of_its_reception(int96: bool) -> None:
    text = '{"n": 1.0, "name": "Grüße"}'
    stored = row(2**40, HALF, HALF + MINUTE, event=text, flags=[LATE_ARRIVAL], schema_version=3)
    file = io.BytesIO(write_file([stored], int96=int96))
    (message,) = read_messages(file, FilePart("a"), SCOPE, Limits(), "replay-events", 5)
    assert (message.topic, message.key, message.value) == ("replay-events", b"press-1", text.encode())
    envelope = read_envelope(dict(message.headers)[ENVELOPE])
    assert (envelope.received_at, envelope.fleet_id, envelope.contract) == (HALF + MINUTE, "demo", "telemetry")
    assert (envelope.schema_version, envelope.flags, envelope.correlation_id) == (3, (LATE_ARRIVAL,), "c-1")
    assert read_replayed(dict(message.headers)[HEADER]) == Replayed(1, 5, 3, 2**40)


@pytest.mark.parametrize("parts", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [0, 1, 50])
def test_the_parts_of_a_file_together_have_every_row_once(
    parts: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Batches of rows end where no part does.
    monkeypatch.setattr(raw_files, "ROWS", 4)
    rows = [row(at, HALF, fleet_id="demo" if at % 3 else "other") for at in range(count)]
    file = write_file(rows)
    sent: Counter[int] = Counter()
    sizes = []
    for part in range(parts):
        read = read_messages(io.BytesIO(file), FilePart("a", part, parts), SCOPE, Limits(), "replay-events", 5)
        offsets = [read_replayed(dict(one.headers)[HEADER]).raw_offset for one in read]
        sent.update(offsets)
        sizes.append(len(offsets))
    assert sent == Counter(at for at in range(count) if at % 3)
    assert max(sizes) - min(sizes) <= 1


def test_a_file_says_how_many_rows_it_has_and_another_file_is_none() -> None:
    assert read_footer(io.BytesIO(write_file([row(1), row(2)]))) == 2
    with pytest.raises((pa.ArrowException, ValueError)):
        read_footer(io.BytesIO(b"no parquet"))
