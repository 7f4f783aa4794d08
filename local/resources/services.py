"""Where the running parts answer."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Services:
    """The only facts about this machine that enter a resolved template; ports are bound before anything starts."""

    kafka: str
    """Bootstrap servers, "127.0.0.1:1,127.0.0.1:2,127.0.0.1:3"."""
    database_host: str
    database_port: int
    cache_host: str
    cache_port: int
    aws: str
    """Base URL of the AWS emulation, "http://127.0.0.1:4"; so are the four below of our models."""
    lambdas: str
    http_api: str
    firehose: str
    athena: str
    directory: str
    """Base URL of the directory of groups, which is no model: each deployment has its own, or none."""
    receivers: str
    """Host and port of the servers that notify people, which are no model either: "127.0.0.1:5"."""
    state: Path
    """The stack's directory: the models keep spools and logs below it."""
    region: str = "us-east-1"
    """For stacks whose template leaves the region open."""
