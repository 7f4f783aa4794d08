import json

import msgspec

from sluice.core.archive.packing import fill_calls, pack_rows
from sluice.core.archive.rows import make_row
from sluice.core.limits import Limits
from sluice.core.records import read_records
from tests.support import samples

BATCH = list(read_records(samples.read("lambda/raw-events-batch.json")))


def test_rows_fill_records_to_the_limit_and_know_what_they_hold() -> None:
    rows = [(record.origin, make_row(record, samples.contracts(), Limits())) for record in BATCH] * 4
    longest = max(len(msgspec.json.encode(row)) + 1 for _, row in rows)
    packs = list(pack_rows(rows, max_record=2 * longest))
    assert [origin for pack in packs for origin in pack.origins] == [origin for origin, _ in rows]
    assert all(len(pack.data) <= 2 * longest for pack in packs)
    assert len(packs) < len(rows)
    lines = [json.loads(line) for pack in packs for line in pack.data.splitlines()]
    assert [line["kafka_offset"] for line in lines] == [origin.offset for origin, _ in rows]


def test_calls_stay_within_the_services_limits() -> None:
    packs = list(
        pack_rows([(record.origin, make_row(record, samples.contracts(), Limits())) for record in BATCH], max_record=1)
    )
    assert len(packs) == 3
    size = len(packs[0].data)
    assert [len(call) for call in fill_calls(packs, max_bytes=10 * size, max_records=2)] == [2, 1]
    assert [len(call) for call in fill_calls(packs, max_bytes=1, max_records=500)] == [1, 1, 1]
