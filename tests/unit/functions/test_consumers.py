"""What every consumer answers: the records to retry, and never null, which Lambda takes for complete success."""

import importlib
from typing import Any

import pytest

from sluice.core.consumers import RAW_EVENTS
from sluice.edge.failures.attempts import Attempts
from sluice.edge.failures.consuming import BatchConsumer
from tests.support.attempts import PlayedCache

VERBS = ("archive", "aggregate", "recount", "detect", "alert", "deadletter")


class Context:
    """An invocation with some time left."""

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


NOTHING: Any = None
BUILT = dict.fromkeys(
    ("archive", "aggregate", "recount", "detect", "alert"),
    BatchConsumer(
        NOTHING, Attempts(PlayedCache().as_cache(), "any"), NOTHING, NOTHING, hold_seconds=0, record_seconds=0
    ),
) | {"deadletter": (NOTHING, "us-east-1")}


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("records", [{}, {f"{RAW_EVENTS}-4": []}])
def test_an_empty_batch_is_answered_with_a_list_and_never_with_nothing(
    verb: str, records: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    handler: Any = importlib.import_module(f"functions.{verb}.handler")
    monkeypatch.setattr(handler, "build", lambda: BUILT[verb])
    answer = handler.handler.__wrapped__({"records": records}, Context())
    assert answer == {"batchItemFailures": []}


@pytest.mark.parametrize("verb", VERBS)
def test_what_is_no_batch_is_an_error_and_not_success(verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    handler: Any = importlib.import_module(f"functions.{verb}.handler")
    monkeypatch.setattr(handler, "build", lambda: BUILT[verb])
    with pytest.raises(KeyError):
        handler.handler.__wrapped__({}, Context())
