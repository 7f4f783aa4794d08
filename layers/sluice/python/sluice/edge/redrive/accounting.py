"""Which re-driven events the ledger accounts for by now, also those of re-drives that were cancelled.

reconcile accounts for records that were given to archive: it finds their rows in files.
"""

from collections.abc import Callable

from aws_lambda_powertools import Logger
from psycopg.errors import QueryCanceled

from sluice.core.consumers import ACCOUNTED, AGGREGATE, RAW_EVENTS
from sluice.edge.database import Connection

logger = Logger()

MOST_ASKED = 10_000
"""How many letters are accounted for in a statement."""

# An event is accounted for when every consumer of the ledger covers its record.
_ACCOUNT = """
    UPDATE redrive_letter SET state = 'accounted', changed_at = clock_timestamp()
    WHERE letter_id IN (
        SELECT letter_id FROM redrive_letter
        WHERE state = 'accepted' AND consumer IS NULL AND (
            SELECT count(*) FROM coverage
            WHERE consumer = ANY(%s) AND topic = %s AND partition = kafka_partition AND offsets @> kafka_offset
        ) = %s
        LIMIT %s
    )
"""

# A record that was given to aggregate alone is accounted for when it has left its gap.
_ACCOUNT_RECOVERED = """
    UPDATE redrive_letter SET state = 'accounted', changed_at = clock_timestamp()
    WHERE letter_id IN (
        SELECT letter_id FROM redrive_letter AS letter JOIN coverage USING (consumer)
        WHERE state = 'accepted' AND letter.consumer = %(consumer)s
            AND topic = %(topic)s AND partition = kafka_partition AND coverage.offsets @> kafka_offset
            AND NOT EXISTS (
                SELECT FROM gap
                WHERE gap.consumer = letter.consumer AND gap.topic = coverage.topic
                    AND gap.partition = kafka_partition AND gap.given_up AND gap.offsets @> kafka_offset
            )
        LIMIT %(most)s
    )
"""


def account(connection: Connection, may_go_on: Callable[[], bool]) -> None:
    """Note which letters are accounted for."""
    consumers = [consumer.name for consumer in ACCOUNTED]
    events = [consumers, RAW_EVENTS, len(consumers), MOST_ASKED]
    recovered = {"consumer": AGGREGATE.name, "topic": RAW_EVENTS, "most": MOST_ASKED}
    try:
        while connection.execute(_ACCOUNT, events).rowcount == MOST_ASKED and may_go_on():
            pass
        while connection.execute(_ACCOUNT_RECOVERED, recovered).rowcount == MOST_ASKED and may_go_on():
            pass
    except QueryCanceled:
        # The next run goes on. Other re-drives may end meanwhile.
        logger.warning("the ledger was asked for too long: events stay accepted for now")
