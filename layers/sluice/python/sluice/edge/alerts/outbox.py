"""The outbox: messages that were committed with what caused them, and are sent after it in the order of each incident.

One process sends at a time. If it dies between SNS and its commit, the message is sent again: the FIFO topic drops it
by its id within five minutes, and the standard topic may deliver any message twice.
"""

import time
from collections.abc import Callable

from aws_lambda_powertools import Logger

from sluice.core.breaker import Breaker
from sluice.core.errors import Retryable
from sluice.core.metrics import MESSAGES_SENT
from sluice.edge.alerts.topics import MOST_TOGETHER, AlertTopics, Waiting
from sluice.edge.database import Connection, Database
from sluice.edge.metrics import record

logger = Logger()

LEAVE_ALONE_SECONDS = 10.0

# Of each incident the first that waits. A newer release may have written members that this one does not know.
_NEXT = """
    SELECT
        incident_id, sequence, message ->> 'fleet_id', message ->> 'severity', message ->> 'happening', message::text
    FROM alert_message AS one
    WHERE sent_at IS NULL AND refused_at IS NULL AND NOT EXISTS (
        SELECT FROM alert_message AS earlier
        WHERE earlier.incident_id = one.incident_id AND earlier.sequence < one.sequence
            AND earlier.sent_at IS NULL AND earlier.refused_at IS NULL
    )
    ORDER BY written_at, incident_id LIMIT %s
"""
_SENT = """
    UPDATE alert_message SET sent_at = clock_timestamp()
    FROM unnest(%s::text[], %s::integer[]) AS given (incident_id, sequence)
    WHERE alert_message.incident_id = given.incident_id AND alert_message.sequence = given.sequence
"""
_REFUSED = """
    UPDATE alert_message SET refused_at = clock_timestamp()
    FROM unnest(%s::text[], %s::integer[]) AS given (incident_id, sequence)
    WHERE alert_message.incident_id = given.incident_id AND alert_message.sequence = given.sequence
"""
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('alert_message', 0))"


class Outbox:
    """Sends what waits."""

    def __init__(self, database: Database, topics: AlertTopics, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._topics = topics
        # Batches of verdicts must not each wait for an SNS that does not answer.
        self._breaker = Breaker("SNS", LEAVE_ALONE_SECONDS, clock)

    def send(self, may_go_on: Callable[[], bool]) -> int:
        """Send while messages wait and time is left; return how many were sent.

        What SNS can never take is put aside. What it fails for another reason stops the run.
        """
        sent = 0
        try:
            while may_go_on():
                with self._database.use() as connection:
                    waiting, taken, refused = self._send_in(connection)
                sent += taken
                if taken + refused < waiting:
                    raise Retryable(f"SNS failed {waiting - taken - refused} of {waiting} messages")
                if waiting == 0:
                    break
        finally:
            record(MESSAGES_SENT, sent)
        return sent

    def _send_in(self, connection: Connection) -> tuple[int, int, int]:
        """Send some; return how many waited, were taken, and were put aside."""
        with connection.transaction():
            connection.execute(_LOCK)
            rows = connection.execute(_NEXT, [MOST_TOGETHER]).fetchall()
            messages = [Waiting(*row) for row in rows]
            if not messages:
                return 0, 0, 0
            with self._breaker.asking():
                answers = self._topics.publish(messages)
            for places, statement in ((answers.taken, _SENT), (answers.refused, _REFUSED)):
                some = [messages[place] for place in sorted(places)]
                if some:
                    connection.execute(
                        statement, [[each.incident_id for each in some], [each.sequence for each in some]]
                    )
        for place in sorted(answers.refused):
            one = messages[place]
            logger.error("SNS can never take a message", incident_id=one.incident_id, sequence=one.sequence)
        return len(messages), len(answers.taken), len(answers.refused)
