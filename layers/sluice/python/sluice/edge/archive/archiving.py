"""The work of archive: accepted events become rows of the raw table.

read -> a row with the event as sent -> pack -> delivery streams; only what they did not accept is retried
"""

import contextlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

from sluice.core.archive.rows import Pack, Row, make_row, pack_rows
from sluice.core.errors import Fault, Retryable
from sluice.core.events.contracts import Contracts
from sluice.core.metrics import ROWS_ARCHIVED
from sluice.core.pieces import cut
from sluice.core.records import KafkaRecord, Origin
from sluice.edge.metrics import record
from sluice.edge.retry import Retry

logger = Logger()

MAX_CALL = 4 * 1024 * 1024  # what the stream accepts in one call
MAX_CALL_RECORDS = 500
ANSWER_SECONDS = 5
"""A call of 4 MiB takes a fraction of a second; longer silence is an outage."""


class Undelivered(msgspec.Struct, frozen=True):
    """A pack that the stream did not accept, and the last error."""

    pack: Pack
    reason: str


class Delivery:
    """The Firehose streams of raw events. A call goes to the one that was sent the least so far.

    What was refused was sent too, so that it goes to another.
    """

    def __init__(self, firehose: Any, streams: Sequence[str]) -> None:
        self._firehose = firehose
        self._sent = dict.fromkeys(streams, 0)

    def deliver(self, packs: Sequence[Pack], retry: Retry) -> list[Undelivered]:
        """Deliver packs and retry only those not accepted, within the retry time; return the rest."""
        left: list[Undelivered] = []
        waiting = packs

        def send() -> None:
            nonlocal left, waiting
            calls = cut(waiting, lambda pack: len(pack.data), MAX_CALL, MAX_CALL_RECORDS)
            left = [refused for call in calls for refused in self._put(call)]
            waiting = [one.pack for one in left]
            if left:
                raise Retryable(left[0].reason)

        with contextlib.suppress(Retryable):
            retry.run(send)
        return left

    def _put(self, call: list[Pack]) -> list[Undelivered]:
        stream = min(self._sent, key=lambda name: self._sent[name])
        self._sent[stream] += sum(len(pack.data) for pack in call)
        try:
            answer = self._firehose.put_record_batch(
                DeliveryStreamName=stream, Records=[{"Data": pack.data} for pack in call]
            )
        except (ClientError, BotoCoreError) as error:
            # The outcome is unknown: we send it again, and the view drops the second copy.
            return [Undelivered(pack, str(error)) for pack in call]
        # A successful call may still refuse some records: each record has its own answer.
        return [
            Undelivered(pack, f"{one['ErrorCode']}: {one.get('ErrorMessage', '')}")
            for pack, one in zip(call, answer["RequestResponses"], strict=True)
            if "ErrorCode" in one
        ]


class Archiving(msgspec.Struct, frozen=True):
    """The work of archive."""

    contracts: Contracts
    delivery: Delivery

    def read(self, record: KafkaRecord, now: datetime) -> Row:
        """Make a record's row."""
        del now
        return make_row(record, self.contracts)

    def take_in(self, records: Sequence[tuple[Origin, Row]], retry: Retry) -> set[Origin]:
        """Deliver rows and return the records whose rows were not accepted."""
        undelivered = self.delivery.deliver(list(pack_rows(records)), retry)
        failed = {origin for one in undelivered for origin in one.pack.origins}
        if undelivered:
            logger.warning("rows were not accepted", packs=len(undelivered), reason=undelivered[0].reason)
        record(ROWS_ARCHIVED, len(records) - len(failed))
        return failed

    def ask(self) -> None:
        """Require nothing: reconcile covers dead letters from their objects."""

    def has_done(self, record: KafkaRecord, fault: Fault, now: datetime) -> bool:
        """Return False: the delivery stream does not say what it holds."""
        del record, fault, now
        return False

    def cover(self, records: Sequence[tuple[KafkaRecord, Fault]], now: datetime) -> None:
        """Leave that to reconcile, which counts the letters from their objects."""
