"""Records that aggregate could not read: the ledger has them as dead-lettered, and no gap has them.

Each is noted in the transaction that counts it, with what it was counted under, and taken out in the one that counts it
as something else: so it is moved once. What was given up unread, or is of a newer release, is in a gap instead.
"""

from collections.abc import Collection, Mapping

from sluice.core.ledger.groups import LedgerGroup
from sluice.core.records import Origin
from sluice.edge.database import Connection

_NOTE = """
    INSERT INTO dead_lettered_record
        (consumer, topic, partition, kafka_offset, fleet_id, received_hour, contract, schema_version)
    SELECT %s, * FROM unnest(
        %s::text[], %s::integer[], %s::bigint[], %s::text[], %s::timestamptz[], %s::text[], %s::integer[]
    ) AS one (topic, partition, kafka_offset, fleet_id, received_hour, contract, schema_version)
    ORDER BY topic, partition, kafka_offset
    ON CONFLICT DO NOTHING
"""

_TAKE = """
    DELETE FROM dead_lettered_record AS record
    USING unnest(%s::text[], %s::integer[], %s::bigint[]) AS one (topic, partition, kafka_offset)
    WHERE record.consumer = %s AND record.topic = one.topic AND record.partition = one.partition
        AND record.kafka_offset = one.kafka_offset
    RETURNING record.topic, record.partition, record.kafka_offset,
        record.fleet_id, record.received_hour, record.contract, record.schema_version
"""


def note_dead_lettered(connection: Connection, consumer: str, groups: Mapping[Origin, LedgerGroup]) -> None:
    """Note records that are counted as dead-lettered and are in no gap. Their coverage is locked already."""
    if groups:
        by_name = [[getattr(group, name) for group in groups.values()] for name in LedgerGroup.__struct_fields__]
        connection.execute(_NOTE, (consumer, *_columns(groups), *by_name))


def take_dead_lettered(connection: Connection, consumer: str, origins: Collection[Origin]) -> dict[Origin, LedgerGroup]:
    """Remove records that count after all; return those that were noted, and what they were counted under."""
    if not origins:
        return {}
    taken = connection.execute(_TAKE, (*_columns(origins), consumer)).fetchall()
    return {Origin(topic, partition, offset): LedgerGroup(*group) for topic, partition, offset, *group in taken}


def _columns(origins: Collection[Origin]) -> list[list[object]]:
    return [[getattr(one, name) for one in origins] for name in Origin.__struct_fields__]
