"""A name of the operator's own for the API."""

import re
from dataclasses import dataclass

from infra.deployment import require


@dataclass(frozen=True)
class Domain:
    """The name, and the certificate for it, of the same region."""

    name: str
    certificate: str

    def __post_init__(self) -> None:
        require(
            re.fullmatch(r"([a-z0-9-]+\.)+[a-z]{2,}", self.name) is not None, f"domain {self.name!r} is not a host name"
        )
        require(
            re.fullmatch(r"arn:aws[\w-]*:acm:[a-z0-9-]+:\d{12}:certificate/[\w-]+", self.certificate) is not None,
            f"certificate {self.certificate!r} must be the ARN of a certificate of ACM, which a domain needs",
        )
