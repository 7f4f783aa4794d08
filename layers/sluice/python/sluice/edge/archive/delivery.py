"""Putting rows on the delivery stream, and knowing which of them it took."""

from collections.abc import Sequence
from typing import Any

import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from sluice.core.archive.rows import Pack
from sluice.core.errors import Retryable
from sluice.core.pieces import cut
from sluice.edge.patience import Patience

MAX_CALL = 4 * 1024 * 1024  # what the stream takes in one call
MAX_CALL_RECORDS = 500
ANSWER_SECONDS = 5
"""A call of 4 MiB takes a fraction of a second; longer silence is an outage."""


class Undelivered(msgspec.Struct, frozen=True):
    """A pack the stream did not take, and the last word we had about it."""

    pack: Pack
    reason: str


class Delivery:
    """The Firehose stream of raw events."""

    def __init__(self, firehose: Any, stream: str) -> None:
        self._firehose = firehose
        self._stream = stream

    def deliver(self, packs: Sequence[Pack], patience: Patience) -> list[Undelivered]:
        """Deliver packs, sending again only what was not taken while patience lasts; return what never was."""
        left: list[Undelivered] = []
        waiting = packs

        def send() -> None:
            nonlocal left, waiting
            calls = cut(waiting, lambda pack: len(pack.data), MAX_CALL, MAX_CALL_RECORDS)
            left = [refused for call in calls for refused in self._put(call)]
            waiting = [one.pack for one in left]
            if left:
                raise Retryable(left[0].reason)

        try:
            patience.persist(send)
        except Retryable:
            return left
        return []

    def _put(self, call: list[Pack]) -> list[Undelivered]:
        try:
            answer = self._firehose.put_record_batch(
                DeliveryStreamName=self._stream, Records=[{"Data": pack.data} for pack in call]
            )
        except (ClientError, BotoCoreError) as error:
            # Taken or not, nobody told us: sent again, and the view drops the second copy.
            return [Undelivered(pack, str(error)) for pack in call]
        # A call that succeeds may still have refused some of its records: each has its own answer.
        return [
            Undelivered(pack, f"{one['ErrorCode']}: {one.get('ErrorMessage', '')}")
            for pack, one in zip(call, answer["RequestResponses"], strict=True)
            if "ErrorCode" in one
        ]
