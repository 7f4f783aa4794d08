"""Rows of records that redrive has given to archive again: when a file holds them, their letters are accounted for."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sluice.core.consumers import ARCHIVE, RAW_EVENTS
from sluice.edge.database import Connection

_WAITING = """
    SELECT letter_id, kafka_partition, kafka_offset FROM redrive_letter
    WHERE consumer = %s AND state IN ('sending', 'accepted') AND kafka_offset IS NOT NULL
"""
_ACCOUNT = """
    UPDATE redrive_letter SET state = 'accounted', changed_at = clock_timestamp()
    WHERE letter_id = ANY(%s) AND state IN ('sending', 'accepted')
"""


def account_for_rows(connection: Connection, records: pa.Table) -> int:
    """Note which letters have their row now; return their number. Needs the transaction that counts the file."""
    waiting = connection.execute(_WAITING, [ARCHIVE.name]).fetchall()
    if not waiting:
        return 0
    ours = records.filter(pc.equal(records["topic"], RAW_EVENTS))
    partitions, offsets = (ours[name].to_numpy() for name in ("partition", "offset"))
    found: list[str] = []
    for partition in {partition for _, partition, _ in waiting}:
        letters = [(letter_id, offset) for letter_id, of, offset in waiting if of == partition]
        there = np.isin(np.array([offset for _, offset in letters]), offsets[partitions == partition])
        found += [letter_id for (letter_id, _), is_there in zip(letters, there, strict=True) if is_there]
    if found:
        connection.execute(_ACCOUNT, [found])
    return len(found)
