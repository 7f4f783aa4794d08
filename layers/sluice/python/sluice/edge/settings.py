"""A function's settings, read once per cold start from the environment its template gives it."""

from collections.abc import Mapping
from typing import Literal, Self

import msgspec

Transport = Literal["iam", "none"]


class Settings(msgspec.Struct, frozen=True):
    """Settings whose names are the environment's, in lower case; a missing or unreadable one stops the cold start."""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """Take the settings from the environment."""
        named = {name: environ[name.upper()] for name in cls.__struct_fields__ if name.upper() in environ}
        try:
            return msgspec.convert(named, cls, strict=False)
        except msgspec.ValidationError as error:
            raise SettingsError(f"{cls.__name__}: {error}") from error


class SettingsError(Exception):
    """The environment does not hold what the function needs."""


class BrokerSettings(Settings, frozen=True):
    """How to reach the brokers."""

    kafka_bootstrap: str
    kafka_auth: Transport
    aws_region: str
    produce_deadline_seconds: float


class DatabaseSettings(Settings, frozen=True):
    """How a function with a role of its own reaches the database."""

    database_host: str
    database_port: int
    database_name: str
    database_user: str
    database_auth: Transport
    aws_region: str


class OwnerSettings(Settings, frozen=True):
    """How migrations reach the database, as the owner of its schema."""

    database_host: str
    database_port: int
    database_name: str
    database_secret_arn: str
    database_auth: Literal["secret", "none"]
    database_user: str | None = None  # where there is a secret, it names the user


class CacheSettings(Settings, frozen=True):
    """How to reach the cache."""

    cache_host: str
    cache_port: int
    cache_name: str
    cache_user: str
    cache_auth: Transport
    aws_region: str


class IngestSettings(Settings, frozen=True):
    """What ingest decides by."""

    sluice_stage: str
    raw_events_topic: str
    dead_letter_topic: str
    aws_region: str
    ingest_concurrency: int
    key_memory_seconds: float
    key_cache_seconds: int


class ArchiveSettings(Settings, frozen=True):
    """Where archive delivers, and where it puts what cannot be delivered."""

    delivery_stream: str
    dead_letter_topic: str


class DeadLetterSettings(Settings, frozen=True):
    """Where dead letters are kept."""

    dead_letter_bucket: str
    aws_region: str
