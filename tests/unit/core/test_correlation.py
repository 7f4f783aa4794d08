"""The comment that names a request in SQL: nothing in an id can end it or begin another statement."""

import pytest

from sluice.core.correlation import write_comment


def test_a_comment_names_the_request() -> None:
    assert write_comment("site-7:000123+/=._") == "/* correlation_id=site-7:000123+/=._ */ "


@pytest.mark.parametrize("text", ["", "*/ DROP TABLE sample --", "a*/b", "a\nb", "é", "%s", "$1", "'", "x" * 65])
def test_what_no_correlation_id_looks_like_becomes_no_comment(text: str) -> None:
    assert write_comment(text) == ""
