"""Testing a destination for an admin: the message goes out at once, once, and the admin is told what came of it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from aws_lambda_powertools import Logger

from sluice.core.errors import Poison, Retryable
from sluice.core.notify.destination_test import (
    DestinationTestRequest,
    DestinationTestResult,
    judge_test,
    write_messages,
)
from sluice.core.notify.destinations import Destination
from sluice.edge.notify.attempting import Attempting
from sluice.edge.notify.destinations import Destinations
from sluice.edge.published import Published

logger = Logger()

UNKNOWN = (
    "notify does not have this version of the destination. If it was changed a moment ago, try again in a minute. If"
    " its fleet is archived, no one is notified there"
)


@dataclass(frozen=True)
class DestinationTester:
    """What a test needs: the destinations as notify knows them, and its way to them."""

    destinations: Published[Destination, Destinations]
    attempting: Attempting
    clock: Callable[[], float] = time.monotonic

    def test(self, asked: DestinationTestRequest, now: datetime) -> DestinationTestResult:
        """Send a test message to a destination."""
        began = self.clock()
        try:
            destination = self._find(asked, now)
            if destination is None:
                return DestinationTestResult(outcome="failed", detail=UNKNOWN)
            # Who tests has often just repaired the secret.
            self.attempting.secrets.read_again(destination)
        except Poison as error:
            return DestinationTestResult(outcome="refused", detail=str(error))
        except Retryable as error:
            return DestinationTestResult(outcome="failed", detail=str(error))
        messages = write_messages(asked, destination, now)
        results = [self.attempting.attempt(messages[0], destination, now)]
        if results[0].outcome == "delivered":
            results += [self.attempting.attempt(each, destination, now) for each in messages[1:]]
        tested = judge_test(results, messages, self.clock() - began)
        logger.info(
            "a destination is tested",
            correlation_id=asked.correlation_id,
            destination_id=asked.destination_id,
            outcome=tested.outcome,
            reason=tested.detail,
        )
        return tested

    def _find(self, asked: DestinationTestRequest, now: datetime) -> Destination | None:
        """Find the destination as the admin has stored it, or a later version."""
        for believe in (self.destinations.find, self.destinations.find_missing):
            for each in believe(now).content:
                if each.destination_id == asked.destination_id and each.version >= asked.version:
                    return each
        return None
