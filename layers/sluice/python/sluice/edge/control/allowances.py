"""Admins' requests about halted consumers: more letters than these may write by themselves, audited."""

from typing import Any

import msgspec
from aws_lambda_powertools import Logger

from sluice.core.consumers import QUARANTINING
from sluice.core.control.requests import AdminRequest, check_reason
from sluice.core.errors import Refusal
from sluice.core.failures.quarantine import KEEP, MOST_EXTRA
from sluice.core.query.parameters import Parameters
from sluice.core.times import write_time
from sluice.edge.cache import Cache, CacheAwayError
from sluice.edge.control.store import ControlStore
from sluice.edge.failures.quarantine import ExtraAllowance

logger = Logger()


class Extra(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a request to allow a consumer more letters."""

    letters: int
    reason: str = ""


class Allowances(msgspec.Struct, frozen=True):
    """Allows halted consumers more letters."""

    store: ControlStore
    cache: Cache

    def allow(self, request: AdminRequest) -> dict[str, Any]:
        """Allow a consumer so many letters from now on. The audit has it even if the consumer never reads it."""
        Parameters(request.query, known=())
        asked = request.read(Extra)
        reason = check_reason(asked.reason)
        consumer = request.path["consumer"]
        names = [each.name for each in QUARANTINING]
        if consumer not in names:
            raise Refusal(
                404, "unknown_consumer", f"No consumer {consumer[:64]!r} halts: name one of {', '.join(names)}."
            )
        if not 1 <= asked.letters <= MOST_EXTRA:
            raise Refusal(400, "invalid_body", f"Allow 1 to {MOST_EXTRA:,} letters.")
        until = write_time(request.now + KEEP)
        after = {"letters": asked.letters, "until": until}
        with self.store.changing() as changes:
            changes.append([request.act("consumer.allow", f"consumer/{consumer}", None, after, reason)])
        try:
            ExtraAllowance(self.cache, consumer).grant(asked.letters)
        except CacheAwayError as error:
            logger.warning("an allowance could not be granted", consumer=consumer, reason=str(error))
            detail = "Valkey does not answer right now, and the consumer was allowed nothing; try again."
            raise Refusal(503, "not_allowed", detail) from error
        return {"consumer": consumer, **after}
