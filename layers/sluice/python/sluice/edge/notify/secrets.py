"""Destinations' secrets, from Secrets Manager, remembered for a short while."""

import time
from collections.abc import Callable
from typing import Any

from sluice.core.errors import Poison, Retryable
from sluice.core.notify.destinations import Destination
from sluice.core.notify.secrets import Secret, read_secret
from sluice.edge import aws

ANSWER_SECONDS = 1.5
REMEMBERED_SECONDS = 300.0


class Secrets:
    """The secrets that this process has read."""

    def __init__(self, client: Any, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._held: dict[str, tuple[str, float]] = {}

    def find(self, destination: Destination) -> Secret:
        """Return a destination's secret; Poison if there is none or it lacks something, Retryable if no one says."""
        text, read_at = self._held.get(destination.secret, ("", 0.0))
        if not text or self._clock() - read_at > REMEMBERED_SECONDS:
            try:
                text = self._read(destination.secret)
            except Retryable:
                # Secrets change seldom: an old one is better than none while no one answers.
                if not text:
                    raise
        return read_secret(text, destination.kind)

    def read_again(self, destination: Destination) -> None:
        """Read a secret again, for someone who has perhaps just changed it; Poison if there is none."""
        self._read(destination.secret)

    def is_rotated(self, destination: Destination) -> bool:
        """Read a secret again that a destination refused, and return whether it is another one now."""
        held, _ = self._held.get(destination.secret, ("", 0.0))
        return self._read(destination.secret) != held

    def _read(self, name: str) -> str:
        from botocore.exceptions import ClientError

        with aws.asking("Secrets Manager"):
            try:
                text: str = self._client.get_secret_value(SecretId=name).get("SecretString", "")
            except ClientError as error:
                if error.response["Error"]["Code"] in ("ResourceNotFoundException", "InvalidRequestException"):
                    # The second: it is marked for deletion.
                    self._held.pop(name, None)
                    raise Poison(f"there is no secret {name}") from error
                raise
        self._held[name] = text, self._clock()
        return text
