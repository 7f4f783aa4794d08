"""An invocation of a function and what may come of it, in the words Lambda uses for each."""

import asyncio
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

#: The largest request of a synchronous invocation; an answer may be 100 bytes longer.
REQUEST_BYTES = 6 * 1024 * 1024
ANSWER_BYTES = REQUEST_BYTES + 100


@dataclass(frozen=True)
class Outcome:
    """What the caller gets: the function's answer, or the description of an error."""

    payload: bytes
    failed: bool = False


@dataclass
class Invocation:
    """One request to a function, from its admission to its outcome."""

    payload: bytes
    outcome: asyncio.Future[Outcome]
    trace: str
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def end(self, outcome: Outcome) -> None:
        """Settles it, once: a late answer of a worker that was given up changes nothing."""
        if not self.outcome.done():
            self.outcome.set_result(outcome)


def new_trace() -> str:
    """A trace header as Lambda hands it to an untraced function."""
    return f"Root=1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]};Parent={uuid.uuid4().hex[:16]};Sampled=0"


def timed_out(invocation: Invocation, seconds: float) -> Outcome:
    """The function took longer than its timeout."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
    message = f"{now}Z {invocation.request_id} Task timed out after {seconds:.2f} seconds"
    return _error("Sandbox.Timedout", message)


def exited(invocation: Invocation, code: int) -> Outcome:
    """The worker ended without an answer: it crashed, was killed, ran out of memory or called exit."""
    if code < 0:
        how = f"Runtime exited with error: signal: {SIGNALS.get(-code, str(-code))}"
    elif code:
        how = f"Runtime exited with error: exit status {code}"
    else:
        how = "Runtime exited without providing a reason"
    return _error("Runtime.ExitError", f"RequestId: {invocation.request_id} Error: {how}")


def answer_too_large() -> Outcome:
    """The function answered with more than an invocation can carry."""
    return _error(
        "Function.ResponseSizeTooLarge",
        f"Response payload size exceeded maximum allowed payload size ({ANSWER_BYTES} bytes).",
    )


def _error(kind: str, message: str) -> Outcome:
    return Outcome(msgspec.json.encode({"errorType": kind, "errorMessage": message}), failed=True)


SIGNALS = {6: "aborted", 9: "killed", 11: "segmentation fault (core dumped)", 15: "terminated"}
