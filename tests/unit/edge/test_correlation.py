"""The id of the request that is answered: it is there for as long as the answer takes, and not for the next one."""

import io
import json

import pytest

from sluice.edge import correlation
from sluice.edge.correlation import current_id, use_correlation_id


def test_an_id_is_there_while_its_request_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr(correlation.logger.registered_handler, "stream", written)
    for given in ("c-1", "", "c-2"):
        with use_correlation_id(given):
            assert current_id() == given
            correlation.logger.warning("asked")
    correlation.logger.warning("asked by no one")
    lines = map(json.loads, written.getvalue().splitlines())
    assert [line.get("correlation_id") for line in lines] == ["c-1", None, "c-2", None]


def test_an_id_does_not_outlive_a_request_that_fails() -> None:
    with pytest.raises(ValueError, match="our bug"), use_correlation_id("c-1"):
        raise ValueError("our bug")
    assert current_id() == ""
