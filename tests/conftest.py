"""What the tests of several folders share."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import hypothesis
import pytest

from sluice.edge.metrics import metrics
from tests.support.scratch import write_to_memory

if TYPE_CHECKING:
    from tests.flow.conftest import Stack

# Machines are noisy: no test fails because an example took long.
hypothesis.settings.register_profile("without deadline", deadline=None)
hypothesis.settings.load_profile("without deadline")
write_to_memory()


@pytest.fixture(autouse=True)
def no_metrics_of_other_tests() -> Iterator[None]:
    """Forget what a test recorded: no invocation ends here and writes it, and a hundred values are written at once."""
    yield
    metrics.clear_metrics()


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
