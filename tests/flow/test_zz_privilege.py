"""Last of the flow tests: no function asked AWS for more than its role allows."""

from tests.flow.conftest import Stack
from tests.privilege.grants import observe


def test_no_function_asked_for_more_than_its_role_allows(stack: Stack) -> None:
    observed = observe(stack.directory)
    assert observed.refused == set()
    assert {"ingest", "migrate"} <= {each.function for each in observed.used}
