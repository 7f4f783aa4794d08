"""Dead letters as they are stored: gzipped JSON lines, one object per partition and day of a batch.

A letter keeps every member, even those that this release does not know: a newer release wrote them.
"""

import gzip
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from sluice.core.consumers import DEADLETTER
from sluice.core.failures.letters import Letter, check_letter, write_letter
from sluice.core.records import KafkaRecord, Origin

_decode = msgspec.json.Decoder(Letter).decode
_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_TIMES = ("failed_at", "received_at")


class Body(msgspec.Struct, frozen=True):
    """One object's content, its number of letters, and the first record of its partition in the batch."""

    data: bytes
    letters: int
    first: Origin


def collect(records: Iterable[KafkaRecord], region: str, now: datetime) -> dict[str, Body]:
    """Group a batch's letters into objects named by their place: the same records always make the same names."""
    groups: defaultdict[tuple[int, str], list[tuple[Origin, bytes]]] = defaultdict(list)
    firsts: dict[int, Origin] = {}
    for record in records:
        letter, members = _read(record, now)
        # The table's reader accepts times only in the Hive form.
        row = members | {name: _as_hive(getattr(letter, name)) for name in _TIMES if name in members}
        groups[record.origin.partition, letter.failed_at[:10]].append((record.origin, msgspec.json.encode(row)))
        firsts.setdefault(record.origin.partition, record.origin)
    return {
        f"dead_letters/region={region}/dt={day}/{partition:05d}-{lines[0][0].offset:020d}.json.gz": Body(
            gzip.compress(b"\n".join(line for _, line in lines) + b"\n", mtime=0), len(lines), firsts[partition]
        )
        for (partition, day), lines in groups.items()
    }


def read_letters(data: bytes) -> list[Letter]:
    """Read the letters of an object."""
    return [_read_line(line) for line in gzip.decompress(data).splitlines()]


def _read_line(line: bytes) -> Letter:
    members = msgspec.json.decode(line, type=dict[str, Any])
    # Members of a newer release are left out, and its version is not compared: what is here reads no more than these.
    return msgspec.convert(
        {
            name: _from_hive(value) if name in _TIMES and isinstance(value, str) else value
            for name, value in members.items()
        },
        Letter,
    )


def _from_hive(moment: str) -> str:
    return moment.replace(" ", "T").removesuffix("Z") + "Z"


def _as_hive(moment: str | None) -> str | None:
    return moment and moment.replace("T", " ").removesuffix("Z")


def _read(record: KafkaRecord, now: datetime) -> tuple[Letter, dict[str, Any]]:
    """Return a letter, and its members as they were written."""
    try:
        letter = _decode(record.value)
        check_letter(letter)
        return letter, dict(_decode_members(record.value))
    except Exception as error:  # noqa: BLE001 - the dead letter topic has no dead letter topic
        # Every letter has already failed once: it is stored as it is, with one more reason.
        letter = write_letter(
            reason="unreadable_letter",
            detail=str(error),
            body=record.value,
            consumer=DEADLETTER.name,
            failed_at=now,
            kafka_topic=record.origin.topic,
            kafka_partition=record.origin.partition,
            kafka_offset=record.origin.offset,
        )
        return letter, msgspec.to_builtins(letter)
