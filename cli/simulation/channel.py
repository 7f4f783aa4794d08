"""A channel of the Slack that the local stack plays: a destination, its secret, and the messages that came."""

import json
import urllib.request
from typing import Any

import boto3

from cli.control.client import Client

ANSWER_SECONDS = 5.0


class Channel:
    """A channel, named as its destination."""

    def __init__(self, stack: dict[str, Any], name: str) -> None:
        self._stack = stack
        self._name = name
        self._path = f"/slack/{name}"

    def create(self, client: Client) -> None:
        """Create the secret with its address, and the destination, as an admin does."""
        login = self._stack["admin"]
        secrets_manager = boto3.client(
            "secretsmanager",
            self._stack["region"],
            endpoint_url=self._stack["aws"],
            aws_access_key_id=login["access_key"],
            aws_secret_access_key=login["secret_key"],
        )
        secret = f"sluice-{self._stack['stage']}-destinations/{self._name}"
        address = json.dumps({"url": f"{self._stack['receivers']}{self._path}"})
        secrets_manager.create_secret(Name=secret, SecretString=address)
        client.change("POST", "destinations", body={"destination_id": self._name, "kind": "slack", "secret": secret})

    def read(self) -> list[str]:
        """Read the messages that came, the oldest first, each as the text of its JSON; OSError without an answer."""
        with urllib.request.urlopen(f"{self._stack['receivers']}/received", timeout=ANSWER_SECONDS) as answer:  # noqa: S310 - the stack's
            received = json.load(answer)["received"]
        return [json.dumps(each["body"], ensure_ascii=False) for each in received if each["path"] == self._path]
