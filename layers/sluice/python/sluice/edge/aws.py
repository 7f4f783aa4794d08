"""Clients of AWS services: none waits for longer than it is told, and none tries again more often."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sluice.core.errors import Retryable

CONNECT_SECONDS = 1


class RefusedError(Retryable):
    """The service answered, and with an error: it may be overloaded, or the call is not allowed."""


def client(
    service: str, *, answer_seconds: float, tries: int = 1, connections: int = 10, region: str | None = None
) -> Any:
    """Make a client that gives up on a silent service after so many seconds, so many times."""
    # Imported here: the SDK takes a while to load, and a process that asks no service starts without it.
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=answer_seconds,
        retries={"mode": "standard", "total_max_attempts": tries},
        max_pool_connections=connections,
    )
    return boto3.client(service, region_name=region, config=config)  # type: ignore[call-overload]  # typed for literal names only


@contextmanager
def asking(service: str) -> Iterator[None]:
    """Turn what the SDK raises into Retryable: RefusedError where the service answered."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        raise RefusedError(f"{service} did not do its part: {error}") from error
    except (BotoCoreError, OSError) as error:
        raise Retryable(f"{service} did not do its part: {error}") from error
