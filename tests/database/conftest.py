"""One server for all tests of the database, and a fresh, migrated database for each."""

from collections.abc import Iterator

import pytest

from tests.database.server import Databases, serve


@pytest.fixture(scope="session")
def databases() -> Iterator[Databases]:
    """The server that the tests share."""
    with serve() as running:
        yield running


@pytest.fixture
def database(databases: Databases) -> Iterator[str]:
    """The DSN of a database with all migrations applied, for one test alone."""
    with databases.fresh() as dsn:
        yield dsn
