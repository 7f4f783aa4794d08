"""Another function of ours, invoked through Lambda's API."""

from typing import Any, TypeVar

import msgspec

from sluice.core.errors import Retryable
from sluice.edge import aws

Answer = TypeVar("Answer")


class InvokedFunction:
    """A function that is invoked once per question, with a time limit."""

    def __init__(self, name: str, seconds: float, region: str) -> None:
        self._name = name
        self._seconds = seconds
        self._region = region
        self._client: Any = None

    def ask(self, question: object, kind: type[Answer]) -> Answer:
        """Send a question as JSON, and read the answer; every failure is Retryable, even an unreadable answer."""
        if self._client is None:
            self._client = aws.client("lambda", answer_seconds=self._seconds, region=self._region)
        with aws.asking(self._name):
            answer = self._client.invoke(FunctionName=self._name, Payload=msgspec.json.encode(question))
            body: bytes = answer["Payload"].read()
        if "FunctionError" in answer:
            raise Retryable(f"{self._name} failed: {body[:200]!r}")
        try:
            return msgspec.json.decode(body, type=kind)
        except ValueError as error:
            raise Retryable(f"{self._name} gave an answer that cannot be read: {error}") from error
