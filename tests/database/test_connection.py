"""One bounded connection, on a real server: how each use ends, and the state of the connection afterwards."""

import time
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from sluice.edge.correlation import use_correlation_id
from sluice.edge.database import Connection, Database, DatabaseAwayError, TooSlowError
from tests.database.replaying import connect_as

SECONDS = 0.4
BLOCKED = "SELECT pg_sleep(20)"


class Connecting:
    """Opens connections, and knows each."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.opened: list[Connection] = []
        self.statement_timeout = 0

    def __call__(self) -> Connection:
        options = f"-c statement_timeout={self.statement_timeout}"
        self.opened.append(psycopg.connect(self.dsn, autocommit=True, options=options))
        return self.opened[-1]

    def cut(self) -> None:
        """End the last connection as the server does when it stops."""
        with psycopg.connect(self.dsn) as other:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", [self.opened[-1].info.backend_pid])


@pytest.fixture
def connecting(database: str) -> Connecting:
    return Connecting(database)


@pytest.fixture
def store(connecting: Connecting) -> Iterator[Database]:
    made = Database(connecting, SECONDS)
    yield made
    made.close()


def test_a_question_is_answered_with_one_value_as_the_server_writes_it(store: Database, connecting: Connecting) -> None:
    assert store.ask("SELECT to_json($1::text)", "a'b") == b'"a\'b"'
    assert store.ask("SELECT 1 WHERE $1 = 'never'", "now") is None
    assert len(connecting.opened) == 1


def test_a_server_that_does_not_answer_is_waited_for_so_long_and_no_longer(
    store: Database, connecting: Connecting
) -> None:
    for use in (ask, execute):
        began = time.monotonic()
        with pytest.raises(DatabaseAwayError, match=r"no answer within 0\.4 s"):
            use(store, BLOCKED)
        assert time.monotonic() - began < 2
        assert connecting.opened[-1].closed
    # Neither was asked again: the first connection was new, and so was the second.
    assert len(connecting.opened) == 2


def test_time_that_passes_between_statements_counts_too(store: Database) -> None:
    def dawdle() -> None:
        with store.use(0.1) as connection:
            time.sleep(0.3)
            connection.execute("SELECT 1")

    with pytest.raises(DatabaseAwayError):
        dawdle()
    with store.use(0.1):
        time.sleep(0.3)
    assert store.ask("SELECT 1") == b"1"


def test_a_short_use_among_long_ones_ends_after_its_own_time(store: Database) -> None:
    for seconds in (30, 0.2, 30, 0.2):
        began = time.monotonic()
        if seconds == 30:
            with store.use(seconds) as connection:
                connection.execute("SELECT pg_sleep(0.3)")
        else:
            with pytest.raises(DatabaseAwayError, match=r"within 0\.2 s"), store.use(seconds) as connection:
                connection.execute(BLOCKED)
        assert time.monotonic() - began < 2


def test_a_statement_that_the_server_gave_up_is_too_slow_and_the_connection_stays(
    store: Database, connecting: Connecting
) -> None:
    connecting.statement_timeout = 100
    store.ask("SELECT 1")
    with pytest.raises(TooSlowError):
        store.ask(BLOCKED)
    with pytest.raises(TooSlowError):
        execute(store, BLOCKED)
    assert store.ask("SELECT 1") == b"1"
    assert len(connecting.opened) == 1


def test_a_question_is_asked_again_when_its_connection_was_cut_while_idle_and_a_transaction_is_not(
    store: Database, connecting: Connecting
) -> None:
    store.ask("SELECT 1")
    connecting.cut()
    assert store.ask("SELECT 2") == b"2"
    connecting.cut()
    with pytest.raises(DatabaseAwayError):
        execute(store, "SELECT 3")
    execute(store, "SELECT 3")
    assert len(connecting.opened) == 3


def test_a_database_that_refuses_connections_is_away() -> None:
    store = Database(lambda: psycopg.connect("host=127.0.0.1 port=1 connect_timeout=2"), SECONDS)
    with pytest.raises(DatabaseAwayError):
        store.ask("SELECT 1")
    with pytest.raises(DatabaseAwayError):
        execute(store, "SELECT 1")


def test_a_defect_is_raised_as_it_is_and_a_session_keeps_its_locks(store: Database, connecting: Connecting) -> None:
    execute(store, "SELECT pg_advisory_lock(1)")
    with pytest.raises(psycopg.errors.UndefinedTable):
        store.ask("SELECT FROM nowhere")
    with pytest.raises(psycopg.DataError), store.use() as connection, connection.transaction():
        connection.execute("SELECT 'x'::int")
    with pytest.raises(ZeroDivisionError):
        break_off(store)
    assert store.ask("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()") == b"1"
    assert store.ask("SELECT to_regclass('half')") is None
    assert len(connecting.opened) == 1


def test_a_transaction_that_is_left_open_ends_with_its_connection(store: Database, connecting: Connecting) -> None:
    with store.use() as connection:
        connection.execute("BEGIN")
    assert connecting.opened[0].closed
    assert store.ask("SELECT 1") == b"1"


def break_off(store: Database) -> None:
    with store.use() as connection, connection.transaction():
        connection.execute("CREATE TABLE half (done int)")
        raise ZeroDivisionError


def ask(store: Database, sql: str) -> None:
    store.ask(sql)


def execute(store: Database, sql: str) -> None:
    with store.use() as connection:
        connection.execute(sql.encode())


def test_statements_of_a_request_begin_with_its_correlation_id_and_those_of_a_batch_with_nothing(database: str) -> None:
    asked = "SELECT current_query() WHERE $1 = 'a*/b'"
    store = Database(lambda: connect_as(database, "query"), SECONDS)
    try:
        for _ in range(7):
            # More often than psycopg runs a statement before it prepares it.
            with use_correlation_id("c-1/x"):
                assert store.ask(asked, "a*/b") == f"/* correlation_id=c-1/x */ {asked}".encode()
                assert _said(store) == [f"/* correlation_id=c-1/x */ {one}" for one in SAID]
            assert store.ask(asked, "a*/b") == asked.encode()
            assert _said(store) == SAID
    finally:
        store.close()


SAID = ["SELECT current_query() WHERE $1 = 100 % 51", "SELECT current_query() AS one", "SELECT current_query() AS two"]


def _said(store: Database) -> list[str]:
    """Execute a statement in each form, and return what the server says of each."""
    with store.use() as connection:
        found = [
            connection.execute("SELECT current_query() WHERE %s = 100 %% 51", [49]).fetchone(),
            connection.execute(b"SELECT current_query() AS one").fetchone(),
            connection.execute(sql.SQL("SELECT current_query() AS {}").format(sql.SQL("two"))).fetchone(),
        ]
    return [row[0] for row in found if row is not None]
