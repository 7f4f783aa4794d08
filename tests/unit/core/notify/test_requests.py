"""The request to a destination: its headers can carry any message's correlation id, or leave it out."""

from hypothesis import given

from sluice.core.alerts.messages import AlertMessage
from sluice.core.notify.requests import CORRELATION, write_request
from sluice.core.notify.secrets import Secret
from tests.support.alert_messages import ANY_MESSAGE, OPENED, OPENED_AT, make_message

SECRET = Secret("https://hooks.example/a", "r" * 32, "0123456789abcdef")


@given(ANY_MESSAGE)
def test_headers_take_any_message(message: AlertMessage) -> None:
    for kind in ("slack", "pagerduty"):
        request = write_request(message, kind, SECRET, OPENED_AT)

        assert all(value.isascii() and value.isprintable() for value in request.headers.values())


def test_a_correlation_id_that_no_header_takes_is_left_out() -> None:
    assert write_request(OPENED, "https", SECRET, OPENED_AT).headers[CORRELATION] == "c-0197"
    for hostile in ("", "a\r\nx-evil: 1", "ü"):
        request = write_request(make_message(correlation_id=hostile), "https", SECRET, OPENED_AT)
        assert CORRELATION not in request.headers
