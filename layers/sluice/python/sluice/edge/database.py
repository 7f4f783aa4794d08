"""Connections to PostgreSQL: every use ends in bounded time and raises our own errors."""

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, LiteralString, Self

import psycopg
from psycopg import sql
from psycopg.abc import Params, QueryNoTemplate
from psycopg.pq import ExecStatus, TransactionStatus

from sluice.core.correlation import write_comment
from sluice.core.errors import Retryable
from sluice.edge import aws
from sluice.edge.correlation import current_id
from sluice.edge.settings import DatabaseSettings, OwnerSettings

Connection = psycopg.Connection[tuple[Any, ...]]

CONNECT_SECONDS = 2  # libpq's minimum
ANSWER_SECONDS = 1.0
SECRET_SECONDS, SECRET_TRIES = 5, 3  # numbers, not a secret

# A wrong statement or row fails at every retry: it is our bug, and must not look like an outage.
DEFECTS = (psycopg.DataError, psycopg.IntegrityError, psycopg.NotSupportedError, psycopg.ProgrammingError)


class DatabaseAwayError(Retryable):
    """The database failed."""


class TooSlowError(DatabaseAwayError):
    """The database cancelled a statement at its own time limit."""


def connect(settings: DatabaseSettings, answer_seconds: float) -> Connection:
    """Open a connection as the function's own role; the password is a freshly signed token."""
    password = _sign_token(settings) if settings.database_auth == "iam" else None
    # Days are in UTC: a day in the server's own zone may have 23 hours.
    options = f"-c statement_timeout={int(answer_seconds * 1000)} -c timezone=UTC"
    return _open(settings, settings.database_user, password, options)


def ask(connection: Connection, sql: str, *parameters: str) -> bytes | None:
    """Query one value in the server's text form; parameters are $1, $2 and so on."""
    text = write_comment(current_id()) + sql
    answer = connection.pgconn.exec_params(text.encode(), [parameter.encode() for parameter in parameters])
    if answer.status != ExecStatus.TUPLES_OK:
        raise psycopg.errors.error_from_result(answer)
    return answer.get_value(0, 0) if answer.ntuples else None


def find_value(connection: Connection, query: LiteralString | sql.Composed, parameters: Params | None = None) -> Any:
    """Return the first value of the first row, or None if no row exists."""
    row = connection.execute(query, parameters).fetchone()
    return row[0] if row else None


@contextlib.contextmanager
def named_errors() -> Iterator[None]:
    """Raise the failures of a block's statements as our own errors; defects pass unchanged."""
    try:
        yield
    except DEFECTS:
        raise
    except psycopg.errors.QueryCanceled as error:
        raise TooSlowError(f"the database cancelled a statement: {error}") from error
    except psycopg.Error as error:
        raise DatabaseAwayError(f"the database failed: {error}") from error


class Database:
    """One connection, opened when it is needed, and closed when an error leaves it in an unclean state.

    Each use ends in bounded time. A hanging server ignores its own timeouts, while its machine continues to acknowledge
    packets: neither TCP timeouts nor a cancel request would end the wait. So the client closes the socket; work left on
    the server ends with the server's own timeouts.
    """

    def __init__(self, connect: Callable[[], Connection], seconds: float) -> None:
        self._connect = connect
        self._seconds = seconds
        self._connection: Connection | None = None
        self._watch = _Watch()

    @contextlib.contextmanager
    def use(self, seconds: float | None = None) -> Iterator[Connection]:
        """Lend the connection for so many seconds; errors that leave the block are ours, and defects pass unchanged.

        A session lock lives as long as the connection: a run with a lock does all its work within one use.
        """
        try:
            with named_errors():
                self._connection = self._connection or self._connect()
                with self._watch.cut_after(self._connection, self._seconds if seconds is None else seconds):
                    yield self._connection
        finally:
            if self._connection is not None and self._connection.info.transaction_status != TransactionStatus.IDLE:
                self.close()

    def ask(self, sql: str, *parameters: str) -> bytes | None:
        """Query one value. A query changes nothing, so it is retried if the connection was cut while idle."""
        fresh = self._connection is None
        try:
            return self._ask(sql, parameters)
        except DatabaseAwayError as error:
            if fresh or isinstance(error, TooSlowError):
                raise
            return self._ask(sql, parameters)

    def close(self) -> None:
        """Close the connection; the next use opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(self, sql: str, parameters: tuple[str, ...]) -> bytes | None:
        with self.use() as connection:
            return ask(connection, sql, *parameters)


class _Watch:
    """Closes the socket of a use that exceeds its time.

    Its thread continues for later uses and ends when it finds none: starting a thread costs more than a query.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._line: socket.socket | None = None
        self._ends = 0.0
        self._cut = False
        self._looks_at: float | None = None
        """When the thread checks next; None while no thread exists."""

    @contextlib.contextmanager
    def cut_after(self, connection: Connection, seconds: float) -> Iterator[None]:
        """Limit a block to so many seconds; one block at a time."""
        with socket.socket(fileno=os.dup(connection.fileno())) as line:
            self._begin(line, time.monotonic() + seconds)
            try:
                yield
            except psycopg.Error as error:
                if self._end():
                    raise DatabaseAwayError(f"the database gave no answer within {seconds:g} s") from error
                raise
            finally:
                if self._end():
                    connection.close()

    def _begin(self, line: socket.socket, ends: float) -> None:
        with self._changed:
            self._line, self._ends, self._cut = line, ends, False
            if self._looks_at is None:
                self._looks_at = ends
                threading.Thread(target=self._watch, daemon=True).start()
            elif ends < self._looks_at:
                self._changed.notify()

    def _end(self) -> bool:
        with self._changed:
            self._line = None
            return self._cut

    def _watch(self) -> None:
        with self._changed:
            while self._line is not None:
                left = self._ends - time.monotonic()
                if left > 0:
                    self._looks_at = self._ends
                    self._changed.wait(left)
                    continue
                # A call that waits on the connection now reads end of file.
                with contextlib.suppress(OSError):
                    self._line.shutdown(socket.SHUT_RDWR)
                self._line, self._cut = None, True
            self._looks_at = None


def connect_owner(settings: OwnerSettings) -> Connection:
    """Open a connection as the schema's owner, whose password is in Secrets Manager."""
    login: dict[str, str | None] = {"username": settings.database_user}
    if settings.database_auth == "secret":
        secrets = aws.client("secretsmanager", answer_seconds=SECRET_SECONDS, tries=SECRET_TRIES)
        login = json.loads(secrets.get_secret_value(SecretId=settings.database_secret_arn)["SecretString"])
    return _open(settings, login["username"], login.get("password"))


class _Cursor(psycopg.Cursor[tuple[Any, ...]]):
    """Begins the statements of a request with its correlation id, for the server's log and its list of activity."""

    def execute(  # type: ignore[override]  # no statement of ours is a template string
        self,
        query: QueryNoTemplate,
        params: Params | None = None,
        *,
        prepare: bool | None = None,
        binary: bool | None = None,
    ) -> Self:
        """Execute a statement."""
        if comment := write_comment(current_id()):
            # A text that is another one each time is not worth preparing.
            query, prepare = _put_before(comment, query), False
        return super().execute(query, params, prepare=prepare, binary=binary)


def _put_before(comment: str, query: QueryNoTemplate) -> QueryNoTemplate:
    if isinstance(query, bytes):
        return comment.encode() + query
    # No character of a comment means anything in SQL.
    begin = sql.SQL(comment)
    return begin + (sql.SQL(query) if isinstance(query, str) else query)


def _open(
    settings: DatabaseSettings | OwnerSettings, user: str | None, password: str | None, options: str | None = None
) -> Connection:
    trusting = settings.database_auth == "none" and not settings.database_roots
    return psycopg.connect(
        host=settings.database_host,
        port=settings.database_port,
        dbname=settings.database_name,
        user=user,
        password=password,
        # Who signed the certificate, and that it is this host's: a token or password goes to our server alone.
        sslmode="disable" if trusting else "verify-full",
        sslrootcert=settings.database_roots or None,
        connect_timeout=CONNECT_SECONDS,
        options=options,
        autocommit=True,
        cursor_factory=_Cursor,
    )


def _sign_token(settings: DatabaseSettings) -> str:
    # Signing is local: it calls no service.
    token: str = aws.client("rds", answer_seconds=1, region=settings.aws_region).generate_db_auth_token(
        settings.database_host, settings.database_port, settings.database_user
    )
    return token
