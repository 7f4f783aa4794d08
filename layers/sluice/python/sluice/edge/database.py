"""Connections to PostgreSQL."""

import json
from typing import Any

import psycopg

from sluice.edge.settings import DatabaseSettings, OwnerSettings

CONNECT_SECONDS = 3
STATEMENT_MS = 5000


def connect(settings: DatabaseSettings) -> psycopg.Connection[tuple[Any, ...]]:
    """Open a connection as the function's own role; the password is a token signed on the spot."""
    return psycopg.connect(
        host=settings.database_host,
        port=settings.database_port,
        dbname=settings.database_name,
        user=settings.database_user,
        password=_sign_token(settings) if settings.database_auth == "iam" else None,
        sslmode="require" if settings.database_auth == "iam" else "disable",
        connect_timeout=CONNECT_SECONDS,
        options=f"-c statement_timeout={STATEMENT_MS}",
        autocommit=True,
    )


def connect_owner(settings: OwnerSettings) -> psycopg.Connection[tuple[Any, ...]]:
    """Open a connection as the owner of the schema, whose password is kept as a secret."""
    secret = settings.database_auth == "secret"
    login = _read_secret(settings.database_secret_arn) if secret else {"username": settings.database_user}
    return psycopg.connect(
        host=settings.database_host,
        port=settings.database_port,
        dbname=settings.database_name,
        user=login["username"],
        password=login.get("password"),
        sslmode="require" if secret else "disable",
        connect_timeout=CONNECT_SECONDS,
        autocommit=True,
    )


def _read_secret(arn: str) -> dict[str, str | None]:
    import boto3

    answer = boto3.client("secretsmanager").get_secret_value(SecretId=arn)
    secret: dict[str, str | None] = json.loads(answer["SecretString"])
    return secret


def _sign_token(settings: DatabaseSettings) -> str:
    # Imported here: the SDK takes a while to load, and a process on plain transport never needs it.
    import boto3

    token: str = boto3.client("rds", region_name=settings.aws_region).generate_db_auth_token(
        settings.database_host, settings.database_port, settings.database_user
    )
    return token
