"""The signature of a generic message, checked as docs/notify.md says."""

import hashlib
import hmac
import json
from datetime import UTC, datetime

from sluice.core.notify.signed import MESSAGE, SIGNATURE, TIMESTAMP, write_signed
from tests.support.alert_messages import OPENED

KEY = "a key that both sides have"
NOW = datetime(2026, 11, 30, 6, 13, tzinfo=UTC)


def test_a_receiver_can_check_who_sent_it_and_when() -> None:
    body, headers = write_signed(OPENED, KEY, NOW)

    expected = hmac.new(KEY.encode(), f"{headers[TIMESTAMP]}.".encode() + body, hashlib.sha256).hexdigest()
    assert headers[SIGNATURE] == f"v1={expected}"
    assert headers[TIMESTAMP] == "1796019180"
    assert headers[MESSAGE] == "4f0c2f3b9a1d5e6077c1a2b3-1"
    assert json.loads(body)["incident_id"] == OPENED.incident_id


def test_another_time_body_or_key_makes_another_signature() -> None:
    one, other = write_signed(OPENED, KEY, NOW)[1], write_signed(OPENED, KEY + "!", NOW)[1]
    later = write_signed(OPENED, KEY, NOW.replace(minute=14))[1]

    assert len({one[SIGNATURE], other[SIGNATURE], later[SIGNATURE]}) == 3
