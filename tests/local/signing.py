"""Signs requests as clients of AWS do."""

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials


def signed(
    method: str,
    url: str,
    *,
    access_key: str = "key",
    secret_key: str = "secret",  # noqa: S107
    body: bytes = b"",
    headers: dict[str, str] | None = None,
    service: str = "execute-api",
    region: str = "us-east-1",
    token: str | None = None,
) -> dict[str, str]:
    """The headers of a request, with botocore's signature of them."""
    request = AWSRequest(method, url, headers=headers or {}, data=body)
    SigV4Auth(Credentials(access_key, secret_key, token), service, region).add_auth(request)
    return {name: str(value) for name, value in request.headers.items()}
