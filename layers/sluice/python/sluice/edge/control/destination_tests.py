"""Admins' tests of destinations: notify sends one test message, and the admin is told what came of it."""

from typing import Any

import msgspec
from aws_lambda_powertools import Logger

from sluice.core.control.destinations import check_test
from sluice.core.control.requests import AdminRequest
from sluice.core.errors import Retryable
from sluice.core.notify.destination_test import DestinationTestRequest, DestinationTestResult
from sluice.core.query.parameters import Parameters
from sluice.core.times import write_time
from sluice.edge.control import destination_rows
from sluice.edge.control.store import ControlStore
from sluice.edge.invoked import InvokedFunction

logger = Logger()


class _Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A body without members."""


class _Answered(msgspec.Struct, frozen=True):
    """The answer of notify; one of another release has no such member, and cannot be read."""

    result: DestinationTestResult


class DestinationTests(msgspec.Struct, frozen=True):
    """Tests destinations. A test is in the audit before its message is sent, whatever comes of it."""

    store: ControlStore
    notify: InvokedFunction
    stage: str

    def test(self, request: AdminRequest) -> dict[str, Any]:
        """Have a test message sent to a destination, once."""
        Parameters(request.query, known=())
        request.read(_Nothing)
        with self.store.changing() as changes:
            destination = destination_rows.get_destination(changes, request.path["destination"])
            check_test(destination, destination_rows.find_tests(changes, destination.destination_id), request.now)
            destination_rows.note_test(changes, destination.destination_id, request.now)
            after = {"version": destination.version, "tested_at": write_time(request.now)}
            target = f"destination/{destination.destination_id}"
            changes.append([request.act("destination.test", target, None, after)])
        # Outside of the transaction: it lasts as long as the destination lets it, and other admins must not wait.
        tested = self._ask(
            DestinationTestRequest(
                destination_id=destination.destination_id,
                version=destination.version,
                stage=self.stage,
                correlation_id=request.correlation_id,
            )
        )
        named = {"destination_id": destination.destination_id, "tested_at": after["tested_at"]}
        return named | msgspec.structs.asdict(tested)

    def _ask(self, asked: DestinationTestRequest) -> DestinationTestResult:
        try:
            return self.notify.ask({"test": asked}, _Answered).result
        except Retryable as error:
            logger.warning("a destination could not be tested", destination_id=asked.destination_id, reason=str(error))
            detail = "notify gave no answer in time; whether the message was sent is not known"
            return DestinationTestResult(outcome="failed", detail=detail, seconds=self.notify.seconds)
