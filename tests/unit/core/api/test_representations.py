import gzip

import pytest

from sluice.core.api.representations import PACK_FROM, holds, represent, takes_gzip

LONG = b'{"items":[' + b"1," * PACK_FROM + b"1]}"


def test_a_document_has_a_tag_and_is_not_sent_to_who_has_it() -> None:
    first = represent(b"{}", {}, "c-1", 5)
    assert (first.status, first.body) == (200, b"{}")
    assert first.headers["cache-control"] == "private, max-age=5"
    again = represent(b"{}", {"if-none-match": first.headers["etag"]}, "c-2", 5)
    assert (again.status, again.body, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert represent(b"[]", {"if-none-match": first.headers["etag"]}, "c-3", 5).status == 200


def test_a_long_document_is_packed_for_who_can_unpack_it_under_a_tag_of_its_own() -> None:
    plain, packed = represent(LONG, {}, "c", 1), represent(LONG, {"accept-encoding": "br, gzip"}, "c", 1)
    assert gzip.decompress(packed.body) == plain.body == LONG
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["etag"] != plain.headers["etag"]
    assert packed.for_gateway()["isBase64Encoded"] is True
    assert "content-encoding" not in represent(b"{}", {"accept-encoding": "gzip"}, "c", 1).headers
    assert represent(LONG, {"if-none-match": plain.headers["etag"]}, "c", 1).body == b""


@pytest.mark.parametrize(
    ("accepted", "takes"),
    [
        ("gzip", True),
        ("br;q=1, GZIP;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("", False),
        ("x-gzip", False),
    ],
)
def test_who_does_not_take_gzip_is_not_given_it(accepted: str, takes: bool) -> None:
    assert takes_gzip(accepted) == takes


@pytest.mark.parametrize("header", ['"a"', '"b", "a"', 'W/"a"', ' "a" '])
def test_a_tag_is_found_among_others_and_weak_ones(header: str) -> None:
    assert holds('"a"', header)
    assert not holds('"aa"', header)
    assert not holds('"a"', "")
