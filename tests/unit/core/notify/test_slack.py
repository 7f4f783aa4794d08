"""Slack's payload, checked by what Slack's documentation says, for any message that alert can write."""

import msgspec
import pytest
from hypothesis import given

from local.receivers import slack
from sluice.core.alerts.messages import AlertMessage
from sluice.core.notify.slack import escape, write_slack
from tests.support.alert_messages import ANY_MESSAGE, HOSTILE, OPENED, make_message


@given(ANY_MESSAGE)
def test_slack_takes_any_message(message: AlertMessage) -> None:
    payload = msgspec.json.decode(msgspec.json.encode(write_slack(message)))

    assert slack.find_fault(payload) == ""


def test_what_devices_wrote_commands_no_one_in_slack() -> None:
    text = str(write_slack(make_message(why=HOSTILE, examples=("<!here>",))))

    assert "<!channel>" not in text
    assert "<!here>" not in text
    assert "<https://evil" not in text
    assert "&lt;!channel&gt;" in text


@pytest.mark.parametrize(("text", "most", "escaped"), [("a<b", 6, "a&lt;b"), ("a<b", 5, "a…"), ("abc", 3, "abc")])
def test_a_cut_splits_no_escaped_character(text: str, most: int, escaped: str) -> None:
    assert escape(text, most) == escaped


def test_the_notice_on_a_phone_says_what_is_wrong() -> None:
    assert write_slack(OPENED)["text"] == "🔴 Critical: bearing_temperature of press-00017 is above 85 degC"
