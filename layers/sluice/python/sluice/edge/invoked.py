"""Another function of ours, asked through Lambda's own interface."""

from typing import Any

from sluice.core.errors import Retryable
from sluice.edge import aws


class InvokedFunction:
    """A function that is asked once for each question, and waited for so long and no longer."""

    def __init__(self, name: str, seconds: float, region: str) -> None:
        self._name = name
        self._seconds = seconds
        self._region = region
        self._client: Any = None

    def invoke(self, payload: bytes) -> bytes:
        """Ask, and return what is answered."""
        # Imported here: the SDK takes a while to load, and most processes never ask.
        from botocore.exceptions import BotoCoreError, ClientError

        if self._client is None:
            self._client = aws.client("lambda", answer_seconds=self._seconds, region=self._region)
        try:
            answer = self._client.invoke(FunctionName=self._name, Payload=payload)
            body: bytes = answer["Payload"].read()
        except (BotoCoreError, ClientError, OSError) as error:
            raise Retryable(f"{self._name} cannot be asked: {error}") from error
        if "FunctionError" in answer:
            raise Retryable(f"{self._name} failed: {body[:200]!r}")
        return body
