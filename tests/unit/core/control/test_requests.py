"""An admin's request: what its body may be."""

import base64

import pytest

from sluice.core.control.fleets import NewFleet
from sluice.core.control.requests import read_admin_request
from sluice.core.errors import Refusal


@pytest.mark.parametrize(
    "body",
    [
        b"nothing",
        b'{"fleet_id": "\xff"}',
        b'{"fleet_id": "\\ud800"}',
        b'{"fleet_id": "f"} {}',
        b'\xef\xbb\xbf{"fleet_id": "f"}',
        '{"fleet_id": "f"}'.encode("utf-16"),
    ],
)
def test_a_body_that_is_not_json_is_refused(body: bytes) -> None:
    request = read_admin_request(
        {
            "routeKey": "POST /v1/admin/fleets",
            "headers": {},
            "requestContext": {
                "timeEpoch": 0,
                "requestId": "r-1",
                "authorizer": {"iam": {"userArn": "arn:aws:iam::123456789012:user/someone"}},
            },
            "body": base64.b64encode(body).decode(),
            "isBase64Encoded": True,
        }
    )
    with pytest.raises(Refusal) as refused:
        request.read(NewFleet)
    assert (refused.value.status, refused.value.code) == (400, "invalid_json")
