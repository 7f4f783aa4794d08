"""The correlation id of the request that is answered now: its log lines and SQL statements carry it.

A batch has the ids of many requests, and none of them here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from aws_lambda_powertools import Logger

logger = Logger()

_CURRENT: ContextVar[str] = ContextVar("correlation_id", default="")


@contextmanager
def use_correlation_id(correlation_id: str) -> Iterator[None]:
    """Answer a request under its id; without one, as the schedule runs, nothing carries any."""
    if not correlation_id:
        yield
        return
    token = _CURRENT.set(correlation_id)
    try:
        with logger.append_context_keys(correlation_id=correlation_id):
            yield
    finally:
        _CURRENT.reset(token)


def current_id() -> str:
    """Return the id of the request that is answered now; empty if there is none."""
    return _CURRENT.get()
