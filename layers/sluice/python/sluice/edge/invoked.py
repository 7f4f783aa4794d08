"""Another function of ours, invoked through Lambda's API."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import msgspec

from sluice.core.errors import Retryable
from sluice.edge import aws

Answer = TypeVar("Answer")


@dataclass
class InvokedFunction:
    """A function that is invoked once per question, with a time limit."""

    name: str
    seconds: float
    region: str

    def ask(self, question: object, kind: type[Answer]) -> Answer:
        """Send a question as JSON, and read the answer; every failure is Retryable, even an unreadable answer."""
        with aws.asking(self.name):
            answer = self._client.invoke(FunctionName=self.name, Payload=msgspec.json.encode(question))
            body: bytes = answer["Payload"].read()
        if "FunctionError" in answer:
            raise Retryable(f"{self.name} failed: {body[:200]!r}")
        try:
            return msgspec.json.decode(body, type=kind)
        except ValueError as error:
            raise Retryable(f"{self.name} gave an answer that cannot be read: {error}") from error

    @cached_property
    def _client(self) -> Any:
        return aws.client("lambda", answer_seconds=self.seconds, region=self.region)
