"""Tracing one event: ask the files and the numbers, and put together what each says or why it could not be asked.

A reader asks of the key's own fleet. An operator, who invokes the function by IAM and without a key, may ask of all.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec
from aws_lambda_powertools import Logger

from sluice.core.api.answers import Answer, answer_refusal
from sluice.core.errors import Refusal, Retryable
from sluice.core.metrics import EVENTS_TRACED, SOURCES_UNAVAILABLE
from sluice.core.trace.fate import Asked, Numbers, Unasked, devices_of, tell, write_document
from sluice.core.trace.question import read_address, read_call, where_to_look
from sluice.core.trace.seeking import Found, Wanted
from sluice.edge.api.gate import Gate, ReaderRequest, count_refusal
from sluice.edge.invoked import InvokedFunction
from sluice.edge.metrics import record
from sluice.edge.query.reading import Reader
from sluice.edge.trace.traces import TraceReader

logger = Logger()

OPERATOR = "operator"
"""In the place of a fleet and of a correlation id, where there is no request."""


class Tracer(msgspec.Struct, frozen=True):
    """Finds out what became of events."""

    gate: Gate
    visible_seconds: int
    """So young, an event need not be in any file yet."""
    files: InvokedFunction
    reader: Reader
    numbers: TraceReader
    clock: Callable[[], datetime]

    def answer_reader(self, event: Mapping[str, Any], retry_after: int) -> Answer:
        """Answer what a reader asks of the key's own fleet, or refuse it."""

        def admit_and_find(by: ReaderRequest) -> object:
            asked = read_address(by.path, by.query, by.key.fleet_id, by.now)
            # A question that cannot be read costs nothing, so it does not count.
            self.gate.admit(by)
            return self.find(asked, by.correlation_id)

        return self.gate.answer(event, admit_and_find, 0, retry_after)

    def answer_operator(self, event: Mapping[str, Any], retry_after: int) -> dict[str, Any]:
        """Answer what an operator asks, or the problem there is with it, as the API writes problems."""
        try:
            return self.find(read_call(event, self.clock()), OPERATOR)
        except Refusal as refusal:
            count_refusal(OPERATOR, refusal)
            problem: dict[str, Any] = msgspec.json.decode(answer_refusal(refusal, OPERATOR, retry_after).body)
            return problem

    def find(self, asked: Asked, correlation_id: str) -> dict[str, Any]:
        """Find out what became of an event, and tell it; a refusal if neither files nor numbers could be asked."""
        found = self._look_among_files(where_to_look(asked, correlation_id))
        numbers = self._ask_numbers(asked, found)
        trace = tell(asked, found, numbers, self.clock(), self.visible_seconds)
        _count_unavailable(trace.unasked)
        if found.copies is None and found.letters is None and isinstance(numbers, Unasked):
            raise _refuse(found)
        record(EVENTS_TRACED, 1)
        return write_document(trace)

    def _look_among_files(self, wanted: Wanted) -> Found:
        try:
            return self.files.ask(wanted, Found)
        except Retryable as error:
            logger.warning("the files could not be looked through", reason=str(error))
            return Found(problem="unavailable")

    def _ask_numbers(self, asked: Asked, found: Found) -> Numbers | Unasked:
        """Ask the database about every device that is known to have sent the event."""
        devices = devices_of(asked, found)
        if not devices:
            return Unasked("numbers", "device_unknown")
        self.reader.begin()
        try:
            return self.numbers.read(asked.event_id, devices, {copy.origin for copy in found.copies or ()})
        except Retryable as error:
            logger.warning("the numbers could not be asked", reason=str(error))
            return Unasked("numbers", "unavailable")
        except Refusal as refusal:
            logger.warning("the numbers did not come in time", reason=refusal.code)
            return Unasked("numbers", "timeout")


def _count_unavailable(unasked: Iterable[Unasked]) -> None:
    """Count the sources that had to answer and did not: files may be too many for one question, numbers never are."""
    numbers_late = ("numbers", "timeout")
    record(
        SOURCES_UNAVAILABLE,
        sum(one.reason == "unavailable" or (one.source, one.reason) == numbers_late for one in unasked),
    )


def _refuse(found: Found) -> Refusal:
    if found.problem in ("timeout", "too_much"):
        return Refusal(
            503, "trace_timeout", "Looking through the files takes too long: name the device, and fewer days."
        )
    return Refusal(503, "trace_unavailable", "Neither the files nor the numbers can be asked right now; try again.")
