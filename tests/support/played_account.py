"""Clients of an AWS account that answer by a script, and nothing else."""

from typing import Any

import boto3
from botocore.stub import Stubber

REGION = "us-east-1"
Script = list[tuple[str, str, dict[str, Any] | str]]
"""The calls that are expected, in their order: the service, the operation, and the answer or the error's code."""


class PlayedAccount:
    """An account for whose services clients are asked."""

    def __init__(self, script: Script) -> None:
        self._stubbers: dict[str, Stubber] = {}
        self._clients: dict[str, Any] = {}
        for service, operation, answer in script:
            if service not in self._clients:
                opener: Any = boto3
                self._clients[service] = opener.client(
                    service, region_name=REGION, aws_access_key_id="a", aws_secret_access_key="b"
                )
                self._stubbers[service] = Stubber(self._clients[service])
            stubber = self._stubbers[service]
            if isinstance(answer, str):
                stubber.add_client_error(operation, answer, "as AWS says")
            else:
                stubber.add_response(operation, answer)
        for stubber in self._stubbers.values():
            stubber.activate()

    def ask(self, service: str) -> Any:
        """Return the client of a service."""
        return self._clients[service]

    def end(self) -> None:
        """Fail if less was asked than the script answers."""
        for stubber in self._stubbers.values():
            stubber.assert_no_pending_responses()
