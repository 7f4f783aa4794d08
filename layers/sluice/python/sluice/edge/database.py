"""Connections to PostgreSQL."""

import json
import select
import time
from collections.abc import Callable
from typing import Any

import psycopg

from sluice.edge import aws
from sluice.edge.settings import DatabaseSettings, OwnerSettings

Connection = psycopg.Connection[tuple[Any, ...]]

CONNECT_SECONDS = 2  # the least that libpq knows
ANSWER_SECONDS = 1.0


def connect(settings: DatabaseSettings, answer_seconds: float = ANSWER_SECONDS) -> Connection:
    """Open a connection as the function's own role; the password is a token signed on the spot."""
    return psycopg.connect(
        host=settings.database_host,
        port=settings.database_port,
        dbname=settings.database_name,
        user=settings.database_user,
        password=_sign_token(settings) if settings.database_auth == "iam" else None,
        sslmode="require" if settings.database_auth == "iam" else "disable",
        connect_timeout=CONNECT_SECONDS,
        # Days are UTC's: a day of the server's own zone may have 23 hours.
        options=f"-c statement_timeout={int(answer_seconds * 1000)} -c timezone=UTC",
        autocommit=True,
    )


def ask(connection: Connection, sql: str, *parameters: str, seconds: float = ANSWER_SECONDS) -> bytes | None:
    """Ask for one value and wait for it so long and no longer.

    A server that hangs keeps its connections open and cannot be trusted with its own timeouts, so the waiting is done
    here. After an error the connection is of no more use.
    """
    server = connection.pgconn
    server.send_query_params(sql.encode(), [parameter.encode() for parameter in parameters])
    deadline = time.monotonic() + seconds
    while server.flush() or server.is_busy():
        ready, _, _ = select.select([server.socket], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            raise psycopg.OperationalError(f"no answer within {seconds:g} s")
        server.consume_input()
    answer = server.get_result()
    if answer is None:
        raise psycopg.OperationalError(server.error_message.decode(errors="replace"))
    if answer.status != psycopg.pq.ExecStatus.TUPLES_OK:
        raise psycopg.errors.error_from_result(answer)
    value = answer.get_value(0, 0) if answer.ntuples else None
    while server.get_result() is not None:
        pass  # the protocol's end of this answer
    return value


class Database:
    """One connection, opened when it is needed and again when it was cut."""

    def __init__(self, connect: Callable[[], Connection], seconds: float = ANSWER_SECONDS) -> None:
        self._connect = connect
        self._seconds = seconds
        self._connection: Connection | None = None

    def ask(self, sql: str, *parameters: str) -> bytes | None:
        """Ask for one value."""
        if self._connection is not None:
            try:
                return self._ask(self._connection, sql, parameters)
            except psycopg.errors.QueryCanceled:
                # It took too long, and would again.
                raise
            except psycopg.OperationalError:
                # The connection lay idle and was cut; that says nothing yet about the database.
                pass
        self._connection = self._connect()
        return self._ask(self._connection, sql, parameters)

    def _ask(self, connection: Connection, sql: str, parameters: tuple[str, ...]) -> bytes | None:
        try:
            return ask(connection, sql, *parameters, seconds=self._seconds)
        except psycopg.Error:
            self._drop()
            raise

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def connect_owner(settings: OwnerSettings) -> Connection:
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
    answer = aws.client("secretsmanager", answer_seconds=5, tries=3).get_secret_value(SecretId=arn)
    secret: dict[str, str | None] = json.loads(answer["SecretString"])
    return secret


def _sign_token(settings: DatabaseSettings) -> str:
    # Signing asks nobody.
    token: str = aws.client("rds", answer_seconds=1, region=settings.aws_region).generate_db_auth_token(
        settings.database_host, settings.database_port, settings.database_user
    )
    return token
