"""One server for all histories of a run."""

from collections.abc import Iterator

import pytest

from tests.database.server import serve
from tests.simulation.databases import HistoryDatabases


@pytest.fixture(scope="session")
def histories() -> Iterator[HistoryDatabases]:
    """Where each history gets a fresh database."""
    with serve() as running:
        yield HistoryDatabases(running)
