"""What functions behind the HTTP API share: routes with throttles, and the time until a revoked key stops working."""

from collections.abc import Mapping
from dataclasses import dataclass

from aws_cdk import aws_lambda as lambda_

from infra.deployment import require

GATEWAY_SECONDS = 30
"""How long the HTTP API waits for a function."""
KEY_REVOCATION_SECONDS = 5 * 60
KEY_SECONDS = 5
"""How long a request may wait for newer keys: Valkey once, and S3 twice; a test holds it against the code."""


@dataclass(frozen=True)
class Throttle:
    """The throttle of one route: requests a second, and how many at once."""

    rate: int
    burst: int


@dataclass(frozen=True)
class Keys:
    """How often a process looks for newer keys: in Valkey, and in S3. The same behind every route."""

    key_valkey_seconds: int
    key_s3_seconds: int

    def __post_init__(self) -> None:
        require(
            self.key_valkey_seconds + self.key_s3_seconds < KEY_REVOCATION_SECONDS,
            f"a revoked key must stop working everywhere within {KEY_REVOCATION_SECONDS} s",
        )


@dataclass(frozen=True)
class Door:
    """The routes that lead to one function, each with its limit."""

    name: str
    function: lambda_.IFunction
    limits: Mapping[str, Throttle]
    signed: bool = False
    """Whether the gateway admits only requests that are signed by a principal whom IAM allows the route."""
