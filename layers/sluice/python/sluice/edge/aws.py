"""Clients of AWS services with explicit timeouts and attempt limits."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sluice.core.errors import Retryable

CONNECT_SECONDS = 1


class RefusedError(Retryable):
    """The service answered with an error: it may be overloaded, or the call is not allowed."""


def client(
    service: str, *, answer_seconds: float, tries: int = 1, connections: int = 10, region: str | None = None
) -> Any:
    """Make a client with a timeout per attempt and a limit of attempts."""
    # Imported here: the SDK loads slowly, and processes that call no service do not need it.
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=answer_seconds,
        retries={"mode": "standard", "total_max_attempts": tries},
        max_pool_connections=connections,
    )
    return boto3.client(service, region_name=region, config=config)  # type: ignore[call-overload]  # typed for literal names only


def make_signer(service: str, region: str) -> Callable[[str, str, bytes, Mapping[str, str]], dict[str, str]]:
    """Make what adds a signature of this process's role to the headers of a method, an address and a body."""
    import boto3
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.exceptions import NoCredentialsError

    session = boto3.Session()

    def sign(method: str, url: str, body: bytes, headers: Mapping[str, str]) -> dict[str, str]:
        credentials = session.get_credentials()
        if credentials is None:
            raise NoCredentialsError
        request = AWSRequest(method, url, dict(headers), data=body)
        SigV4Auth(credentials, service, region).add_auth(request)
        return dict(request.headers.items())

    return sign


@contextmanager
def asking(service: str) -> Iterator[None]:
    """Turn the SDK's exceptions into Retryable, or into RefusedError if the service answered."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        raise RefusedError(f"{service} failed: {error}") from error
    except (BotoCoreError, OSError) as error:
        raise Retryable(f"{service} failed: {error}") from error
