"""What the tests of several folders share."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.flow.conftest import Stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Stack"]:
    """The stack of a run of flow or browser tests, shared by them; each test sends events of its own."""
    # Its modules load only where a test asks for it.
    from tests.flow.conftest import start, stop

    directory = tmp_path_factory.mktemp("stack")
    try:
        yield start(directory)
    finally:
        stop(directory)
