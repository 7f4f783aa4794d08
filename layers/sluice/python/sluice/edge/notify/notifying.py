"""Messages about incidents become deliveries, and deliveries become notifications.

route: a message -> the destinations that want it -> a delivery for each, in a queue with a group for each destination
deliver: a delivery -> its destination -> one attempt -> what came of it is reported -> done, again later, or given up
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import msgspec
from aws_lambda_powertools import Logger
from msgspec.structs import replace

from sluice.core.alerts.messages import Attempt
from sluice.core.errors import Ahead, Poison, Retryable
from sluice.core.metrics import (
    ATTEMPTS_UNREPORTED,
    NOTIFICATION_TIME,
    NOTIFICATIONS_FAILED,
    NOTIFICATIONS_GIVEN_UP,
    NOTIFICATIONS_SENT,
)
from sluice.core.notify.deliveries import (
    MOST_ATTEMPTS,
    Delivery,
    pause_after,
    pause_for_ours,
    plan_deliveries,
    read_delivery,
    read_message,
)
from sluice.core.notify.destinations import Destination
from sluice.core.notify.outcomes import Result
from sluice.core.notify.queue_records import QueueRecord
from sluice.core.notify.routing import choose_destinations
from sluice.edge.metrics import record
from sluice.edge.notify.attempting import Attempting
from sluice.edge.notify.destinations import Destinations
from sluice.edge.notify.queues import Queue
from sluice.edge.notify.told import Latest, Told
from sluice.edge.published import Published

logger = Logger()

UNREADABLE, REFUSED, GIVEN_UP = "unreadable", "refused", "given_up"
REASON, DETAIL = "reason", "detail"
MOST_DETAIL = 1000


@dataclass(frozen=True)
class Notifying:
    """What notify works with."""

    destinations: Published[Destination, Destinations]
    attempting: Attempting
    told: Told
    messages: Queue
    deliveries: Queue
    letters: Queue
    attempts: Queue
    clock: Callable[[], float] = time.monotonic

    def handle(self, queued: QueueRecord, now: datetime) -> bool:
        """Handle a message of either queue; return whether it is done. If not, it comes again."""
        source = self.deliveries if queued.queue == self.deliveries.name else self.messages
        act = self._deliver if source is self.deliveries else self._route
        try:
            try:
                pause = act(queued, now)
            except Poison as error:
                self._give_up(queued, queued.queue, UNREADABLE, str(error))
                return True
        except (Ahead, Retryable) as error:
            logger.warning("a message has to wait", queue=source.name, reason=str(error))
            pause = pause_for_ours(queued.attributes.receives)
        if pause is None:
            return True
        self._pause(source, queued, pause)
        return False

    def _route(self, queued: QueueRecord, now: datetime) -> None:
        """Make deliveries of a message."""
        message = read_message(queued.body)
        chosen = choose_destinations(message, self.destinations.find(now).content)
        for delivery in plan_deliveries(message, chosen, now):
            body = msgspec.json.encode(delivery).decode()
            self.deliveries.send_in_order(body, delivery.group, delivery.deduplication_id)
        logger.info(
            "a message is routed",
            correlation_id=message.correlation_id,
            incident_id=message.incident_id,
            sequence=message.sequence,
            destinations=[each.destination_id for each in chosen],
        )

    def _deliver(self, queued: QueueRecord, now: datetime) -> int | None:
        """Make one attempt; return after how many seconds another one follows, or None if none does."""
        delivery = read_delivery(queued.body)
        message = delivery.message
        destination = self._find(delivery.destination_id, now)
        known = self.told.find(delivery)
        memory = known or Latest()
        if memory.has_taken(delivery):
            logger.info("a repeated delivery is left out", incident_id=message.incident_id, sequence=message.sequence)
            return None
        began = self.clock()
        # For these two no one could do anything: they become no dead letters.
        pointless = ""
        if memory.is_past(delivery):
            pointless = f"message {memory.sequence} of this incident was delivered before this one"
        elif destination is None:
            pointless = "this destination is archived, or there never was one"
        if pointless or destination is None:
            result = Result("refused", pointless)
        else:
            result = self.attempting.attempt(message, destination, now)
        attempt = _count(known, queued)
        pause = None
        if result.outcome == "delivered":
            self._note(delivery, memory.after(delivery))
        elif result.outcome == "failed":
            pause = pause_after(attempt, queued.attributes.receives, result.retry_after)
            if known is not None and pause is not None:
                self._note(delivery, replace(memory, trying=queued.message_id, attempts=attempt))
        given_up = result.outcome == "failed" and pause is None
        if given_up or (result.outcome == "refused" and not pointless):
            self._give_up(queued, delivery.group, GIVEN_UP if given_up else REFUSED, result.detail)
        self._report(queued, delivery, result, now, self.clock() - began, given_up=given_up)
        return pause

    def _find(self, destination_id: str, now: datetime) -> Destination | None:
        """Find a destination, or None if there is none; Retryable while that is not known.

        This process's copy may be older than the one that routed.
        """
        for believe in (self.destinations.find, self.destinations.find_missing):
            believed = believe(now)
            for each in believed.content:
                if each.destination_id == destination_id:
                    return each
        if not believed.just_confirmed:
            raise believed.away or Retryable("this process may not look again yet for a destination that it misses")
        return None

    def _note(self, delivery: Delivery, latest: Latest) -> None:
        try:
            self.told.note(delivery, latest)
        except Retryable as error:
            # A repeat of this delivery could be sent again, or tried once more than others. That is all.
            logger.warning("an attempt is not remembered", reason=str(error))

    def _give_up(self, queued: QueueRecord, group: str, reason: str, detail: str) -> None:
        """Put a message among the dead letters, with the reason; Retryable if SQS does not take it."""
        known = {REASON: reason, DETAIL: detail[:MOST_DETAIL]}
        self.letters.send_in_order(queued.body, group, queued.message_id, known)
        record(NOTIFICATIONS_GIVEN_UP, 1)

    def _pause(self, source: Queue, queued: QueueRecord, seconds: int) -> None:
        try:
            source.pause(queued.receipt, seconds)
        except Retryable as error:
            logger.warning("a message comes again when its visibility ends", reason=str(error))

    def _report(
        self, queued: QueueRecord, delivery: Delivery, result: Result, now: datetime, seconds: float, *, given_up: bool
    ) -> None:
        """Report an attempt. It is a help for people: a report that is lost changes no delivery."""
        message = delivery.message
        attempt = Attempt(
            incident_id=message.incident_id,
            sequence=message.sequence,
            destination_id=delivery.destination_id,
            # Not the attempt's own number: that one comes again when it could not be remembered.
            attempt=queued.attributes.receives,
            outcome="given_up" if given_up else result.outcome,
            status=result.status,
            detail=result.detail,
            at=now,
            seconds=round(seconds, 3),
        )
        delivered = result.outcome == "delivered"
        record(NOTIFICATIONS_SENT if delivered else NOTIFICATIONS_FAILED, 1)
        if delivered:
            record(NOTIFICATION_TIME, max(0.0, (now - message.read_at).total_seconds() + seconds))
        (logger.info if delivered else logger.warning)(
            "a notification is delivered" if delivered else "a notification is not delivered",
            correlation_id=message.correlation_id,
            **{name: getattr(attempt, name) for name in ("incident_id", "sequence", "destination_id", "attempt")},
            outcome=attempt.outcome,
            reason=attempt.detail,
        )
        try:
            self.attempts.send(msgspec.json.encode(attempt).decode())
        except Retryable as error:
            record(ATTEMPTS_UNREPORTED, 1)
            logger.warning("an attempt is not reported", reason=str(error))


def _count(known: Latest | None, queued: QueueRecord) -> int:
    """Count this attempt. While the memory is away none is the last: receives are no attempts, and have a bound."""
    if known is None:
        return min(queued.attributes.receives, MOST_ATTEMPTS - 1)
    return known.attempts_of(queued.message_id) + 1
