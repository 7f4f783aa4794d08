"""A connection to PostgreSQL for whole transactions: each use of it ends in bounded time, whatever the server does.

The server has timeouts of its own, but a server that hangs keeps none of them, and its machine goes on acknowledging
packets: neither TCP's timeouts nor a request to cancel would end the wait. So the waiting is ended here, by cutting the
line; what is then left on the server ends with its own timeouts.
"""

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator

import psycopg

from sluice.core.errors import Retryable
from sluice.edge.database import Connection

# A statement or a row that is wrong will be wrong again: a defect of ours, which must not look like an outage.
DEFECTS = (psycopg.DataError, psycopg.IntegrityError, psycopg.NotSupportedError, psycopg.ProgrammingError)


class Session:
    """One connection, opened when it is needed, and again after any error."""

    def __init__(self, connect: Callable[[], Connection], seconds: float) -> None:
        self._connect = connect
        self._seconds = seconds
        self._connection: Connection | None = None

    @contextlib.contextmanager
    def use(self, seconds: float | None = None) -> Iterator[Connection]:
        """Lend the connection for so many seconds; Retryable when the server does not do its part."""
        try:
            self._connection = self._connection or self._connect()
            with _cut_after(self._connection, self._seconds if seconds is None else seconds):
                yield self._connection
        except DEFECTS:
            self.close()
            raise
        except psycopg.Error as error:
            self.close()
            raise Retryable(f"the database does not do its part: {error}") from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let the connection go; the next use opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


@contextlib.contextmanager
def _cut_after(connection: Connection, seconds: float) -> Iterator[None]:
    with socket.socket(fileno=os.dup(connection.fileno())) as line:
        timer = threading.Timer(seconds, _cut, [line])
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()


def _cut(line: socket.socket) -> None:
    # Whoever waits on the connection now reads its end.
    with contextlib.suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)
