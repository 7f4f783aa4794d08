"""The ids of raw files are those of their rows, and a row is read back as its record."""

import io
from hashlib import blake2b
from typing import Any
from zlib import crc32

import pyarrow.parquet as pq
import pytest

from sluice.core.events.envelope import HEADER, read_envelope
from sluice.edge.matching.raw_ids import Gathering, make_record, read_rows
from sluice.edge.replay.raw_files import UNREADABLE
from tests.support.samples import NOW
from tests.unit.edge.replay.parquet import row, write_file


def file_of(*rows: dict[str, Any], **settings: Any) -> io.BytesIO:
    return io.BytesIO(write_file(rows, **settings))


def hash_of(one: dict[str, Any]) -> int:
    name = "\0".join((one["fleet_id"], one["device_id"], one["event_id"]))
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little")


def test_each_row_has_its_hashes_and_its_place_among_all_files() -> None:
    first = [row(number, event=f'{{"text":"{"é" * number}"}}') for number in range(20)]
    second = [row(number, fleet_id="demo2", device_id=f"press-{number}") for number in range(3)]
    gathering = Gathering()
    gathering.add("a", file_of(*first))
    gathering.add("b", file_of(*second))
    batch = gathering.end()
    rows = [*first, *second]
    assert batch.files == (("a", 20), ("b", 3))
    assert batch.ids.hashes.tolist() == sorted(map(hash_of, rows))
    assert [rows[place] for place in batch.ids.rows.tolist()] == sorted(rows, key=hash_of)
    assert batch.ids.bodies.tolist() == [crc32(rows[place]["event"].encode()) for place in batch.ids.rows.tolist()]
    assert batch.fleets.tolist() == [batch.fleets[0]] * 20 + [batch.fleets[20]] * 3
    assert batch.fleets[0] != batch.fleets[20]


def test_rows_of_other_topics_and_without_an_id_have_no_hash() -> None:
    rows = [
        row(0),
        row(1, kafka_topic="raw-events@2026"),
        row(2, event_id=None),
        row(3, kafka_topic=None),
        row(4, fleet_id=None),
    ]
    gathering = Gathering()
    gathering.add("a", file_of(*rows))
    batch = gathering.end()
    assert sorted(batch.ids.rows.tolist()) == [0, 3]
    assert batch.files == (("a", 5),)
    gathering = Gathering()
    gathering.add("a", file_of(*rows[:1], without=["kafka_topic"]))
    assert len(gathering.end().ids.hashes) == 1


def test_a_damaged_file_adds_nothing() -> None:
    gathering = Gathering()
    gathering.add("a", file_of(row(0)))
    data = write_file([row(number) for number in range(50)])
    with pytest.raises(UNREADABLE):
        gathering.add("b", io.BytesIO(data[:20] + bytes(200) + data[220:]))
    gathering.add("c", file_of(row(1)))
    batch = gathering.end()
    assert batch.files == (("a", 1), ("c", 1))
    assert sorted(batch.ids.rows.tolist()) == [0, 1]


def test_nothing_has_no_ids() -> None:
    batch = Gathering().end()
    assert (len(batch.ids.hashes), batch.files) == (0, ())


def test_a_row_is_read_back_as_the_record_that_it_was_made_of() -> None:
    rows = [row(number, flags=["clock_ahead"] if number == 7 else None) for number in range(10)]
    found = read_rows(file_of(*rows), {7, 2})
    assert set(found) == {2, 7}
    record = make_record(found[7])
    assert (record.origin.topic, record.origin.partition, record.origin.offset) == ("raw-events", 3, 7)
    assert record.value == b'{"n":7}'
    envelope = read_envelope(record.headers[HEADER])
    assert (envelope.fleet_id, envelope.received_at, envelope.flags) == ("demo", NOW, ("clock_ahead",))


def test_only_the_row_groups_of_wanted_rows_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    file = file_of(*(row(number) for number in range(40)), group=10)
    groups: list[int] = []
    read = pq.ParquetFile.iter_batches

    def watched(self: Any, *arguments: Any, row_groups: list[int], **settings: Any) -> Any:
        groups.extend(row_groups)
        return read(self, *arguments, row_groups=row_groups, **settings)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", watched)
    found = read_rows(file, {12, 19, 30})
    assert {number: one["kafka_offset"] for number, one in found.items()} == {12: 12, 19: 19, 30: 30}
    assert groups == [1, 3]
