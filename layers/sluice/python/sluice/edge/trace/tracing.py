"""Tracing one event: read the files and the numbers, and combine their answers or the reasons why they are missing.

A reader asks about the key's own fleet. An operator invokes the function through IAM, without a key, and may ask about
all fleets.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec
from aws_lambda_powertools import Logger

from sluice.core.api.answers import Answer, answer_refusal
from sluice.core.errors import Refusal, Retryable
from sluice.core.metrics import EVENTS_TRACED, SOURCES_UNAVAILABLE
from sluice.core.trace.incidents import leave_attempts_out
from sluice.core.trace.lake_search import EventSearch, SearchResult
from sluice.core.trace.outcomes import Asked, Numbers, UnaskedSource, build_trace, devices_of, write_document
from sluice.core.trace.question import read_address, read_call, where_to_look
from sluice.edge.api.gate import Gate, ReaderRequest, count_refusal
from sluice.edge.invoked import InvokedFunction
from sluice.edge.metrics import record
from sluice.edge.query.reading import Reader
from sluice.edge.trace.traces import TraceReader

logger = Logger()

OPERATOR = "operator"
"""Used for a fleet and a correlation id, if no request exists."""


class Tracer(msgspec.Struct, frozen=True):
    """Traces events."""

    gate: Gate
    visible_seconds: int
    """Events younger than this may not be in any file yet."""
    files: InvokedFunction
    reader: Reader
    numbers: TraceReader
    clock: Callable[[], datetime]

    def answer_reader(self, event: Mapping[str, Any], retry_after: int) -> Answer:
        """Answer a reader's question about the key's own fleet, or refuse it."""

        def admit_and_find(by: ReaderRequest) -> object:
            asked = read_address(by.path, by.query, by.key.fleet_id, by.now)
            # A question that cannot be read costs nothing, so it does not count.
            self.gate.admit(by)
            return self.find(asked, by.correlation_id, for_operators=False)

        return self.gate.answer(event, admit_and_find, 0, retry_after)

    def answer_operator(self, event: Mapping[str, Any], retry_after: int) -> dict[str, Any]:
        """Answer an operator's question, or return a problem in the API's form."""
        try:
            return self.find(read_call(event, self.clock()), OPERATOR, for_operators=True)
        except Refusal as refusal:
            count_refusal(OPERATOR, refusal)
            problem: dict[str, Any] = msgspec.json.decode(answer_refusal(refusal, OPERATOR, retry_after).body)
            return problem

    def find(self, asked: Asked, correlation_id: str, *, for_operators: bool) -> dict[str, Any]:
        """Trace an event; refuse if neither the files nor the numbers could be read."""
        found = self._look_among_files(where_to_look(asked, correlation_id))
        numbers = self._ask_numbers(asked, found)
        if isinstance(numbers, Numbers) and numbers.incidents and not for_operators:
            shown = {who: tuple(map(leave_attempts_out, each)) for who, each in numbers.incidents.items()}
            numbers = msgspec.structs.replace(numbers, incidents=shown)
        trace = build_trace(asked, found, numbers, self.clock(), self.visible_seconds)
        _count_unavailable(trace.unasked)
        if found.copies is None and found.letters is None and isinstance(numbers, UnaskedSource):
            raise _refuse(found, numbers)
        record(EVENTS_TRACED, 1)
        return write_document(trace)

    def _look_among_files(self, wanted: EventSearch) -> SearchResult:
        try:
            return self.files.ask(wanted, SearchResult)
        except Retryable as error:
            logger.warning("the files could not be searched", reason=str(error))
            return SearchResult(problem="unavailable")

    def _ask_numbers(self, asked: Asked, found: SearchResult) -> Numbers | UnaskedSource:
        """Ask the database about every known device of the event."""
        devices = devices_of(asked, found)
        if not devices:
            return UnaskedSource("numbers", "device_unknown")
        self.reader.begin()
        try:
            return self.numbers.read(asked.event_id, devices, {copy.origin for copy in found.copies or ()})
        except Retryable as error:
            logger.warning("the numbers could not be read", reason=str(error))
            return UnaskedSource("numbers", "unavailable")
        except Refusal as refusal:
            logger.warning("the numbers did not arrive in time", reason=refusal.code)
            return UnaskedSource("numbers", "timeout")


def _count_unavailable(unasked: Iterable[UnaskedSource]) -> None:
    """Count the sources that failed to answer. Too many files for one question are not a failure of the source."""
    numbers_late = ("numbers", "timeout")
    record(
        SOURCES_UNAVAILABLE,
        sum(one.reason == "unavailable" or (one.source, one.reason) == numbers_late for one in unasked),
    )


def _refuse(found: SearchResult, numbers: UnaskedSource) -> Refusal:
    if found.problem in ("timeout", "too_much"):
        return Refusal(
            503, "trace_timeout", "Searching the files takes too long: name fleet and device, and fewer days."
        )
    if numbers.reason == "device_unknown":
        return Refusal(
            503, "trace_unavailable", "The files cannot be read right now: name fleet and device, or try again."
        )
    return Refusal(503, "trace_unavailable", "Neither the files nor the numbers can be read right now; try again.")
