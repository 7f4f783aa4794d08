"""AWS's own client, pointed at a local endpoint."""

from typing import Any

import boto3
from botocore.config import Config


def aws_client(service: str, endpoint: str, region: str, config: Config | None = None) -> Any:
    """A client of one service; what answers locally takes any credentials."""
    return boto3.client(  # type: ignore[call-overload]  # typed for literal names only
        service,
        endpoint_url=endpoint,
        region_name=region,
        aws_access_key_id="local",
        aws_secret_access_key="local",  # noqa: S106
        config=config,
    )
