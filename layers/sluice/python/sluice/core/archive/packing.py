"""Rows packed into as few delivery records as fit: each record is billed rounded up to 5 KB."""

from collections.abc import Iterable, Iterator

import msgspec

from sluice.core.archive.rows import Row
from sluice.core.records import Origin

MAX_RECORD = 1000 * 1024  # what the delivery stream takes as one record
MAX_CALL = 4 * 1024 * 1024  # and in one call
MAX_CALL_RECORDS = 500


class Pack(msgspec.Struct, frozen=True):
    """One delivery record: JSON lines, and which records of the ledger they hold."""

    data: bytes
    origins: tuple[Origin, ...]


def pack_rows(rows: Iterable[tuple[Origin, Row]], max_record: int = MAX_RECORD) -> Iterator[Pack]:
    """Fill delivery records in the order of the rows."""
    lines: list[bytes] = []
    origins: list[Origin] = []
    size = 0
    for origin, row in rows:
        line = msgspec.json.encode(row) + b"\n"
        if lines and size + len(line) > max_record:
            yield Pack(b"".join(lines), tuple(origins))
            lines, origins, size = [], [], 0
        lines.append(line)
        origins.append(origin)
        size += len(line)
    if lines:
        yield Pack(b"".join(lines), tuple(origins))


def fill_calls(
    packs: Iterable[Pack], max_bytes: int = MAX_CALL, max_records: int = MAX_CALL_RECORDS
) -> Iterator[list[Pack]]:
    """Group delivery records into calls within the service's limits."""
    call: list[Pack] = []
    size = 0
    for pack in packs:
        if call and (size + len(pack.data) > max_bytes or len(call) == max_records):
            yield call
            call, size = [], 0
        call.append(pack)
        size += len(pack.data)
    if call:
        yield call
