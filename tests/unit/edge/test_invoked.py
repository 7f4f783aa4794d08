import io
from typing import Any

import msgspec
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from sluice.core.errors import Retryable
from sluice.core.query.groups import GroupAnswer, GroupQuestion
from sluice.edge.invoked import InvokedFunction

WANTED = GroupQuestion("demo", "hall", "c")


class Client:
    """Lambda's client with configured answers."""

    def __init__(self, answer: dict[str, Any] | Exception) -> None:
        self.answer = answer

    def invoke(self, **asked: Any) -> dict[str, Any]:
        assert asked["FunctionName"] == "lookup"
        assert msgspec.json.decode(asked["Payload"], type=GroupQuestion) == WANTED
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def function(answer: dict[str, Any] | Exception) -> InvokedFunction:
    invoked = InvokedFunction("lookup", 1, "us-east-1")
    invoked._client = Client(answer)
    return invoked


def test_what_the_function_answers_is_read() -> None:
    answer = {"Payload": io.BytesIO(b'{"problem": "unknown"}')}
    assert function(answer).ask(WANTED, GroupAnswer) == GroupAnswer(problem="unknown")


@pytest.mark.parametrize(
    "answer",
    [
        ClientError({"Error": {"Code": "TooManyRequestsException", "Message": "Rate Exceeded."}}, "Invoke"),
        ReadTimeoutError(endpoint_url="http://127.0.0.1"),
        OSError("connection reset"),
        {"Payload": io.BytesIO(b'{"errorType": "Sandbox.Timedout"}'), "FunctionError": "Unhandled"},
        {"Payload": io.BytesIO(b"null")},
        {"Payload": io.BytesIO(b'{"detail": "\xff"}')},
        {"Payload": io.BytesIO(b'{"problem": "other"}')},
    ],
)
def test_a_function_that_does_not_answer_may_do_so_later(answer: dict[str, Any] | Exception) -> None:
    with pytest.raises(Retryable):
        function(answer).ask(WANTED, GroupAnswer)
