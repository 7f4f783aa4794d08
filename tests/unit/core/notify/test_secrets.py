"""What a secret must have, by the kind of its destination; no error says what is in it."""

import json

import pytest

from sluice.core.errors import Poison
from sluice.core.notify.destinations import DestinationKind
from sluice.core.notify.outcomes import hide
from sluice.core.notify.secrets import PAGERDUTY, read_secret

KEY = "0123456789abcdef"


def test_a_secret_reads() -> None:
    assert read_secret('{"url": "https://hooks.slack.com/services/T/B/x"}', "slack").url.endswith("/T/B/x")
    assert read_secret(json.dumps({"routing_key": "r" * 32}), "pagerduty").url == PAGERDUTY
    eu = {"routing_key": "r" * 32, "url": "https://events.eu.pagerduty.com/v2/enqueue"}
    assert read_secret(json.dumps(eu), "pagerduty").url == eu["url"]
    mine = {"url": "https://example.com/alerts", "signing_key": KEY, "made_by": "terraform"}
    assert read_secret(json.dumps(mine), "https").signing_key == KEY


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("https://hooks.slack.com/services/T/B/hush", "slack", "no JSON object"),
        ('["hush"]', "slack", "no JSON object"),
        ('{"url": ["hush"]}', "slack", "no JSON object"),
        ("{}", "slack", "has no url"),
        ('{"url": "https://example.com/hush"}', "pagerduty", "has no routing_key"),
        ("{}", "https", "has no url and no signing_key"),
        ('{"url": "https://example.com", "signing_key": "hush"}', "https", "less than 16 characters"),
    ],
)
def test_a_secret_that_lacks_something_says_what_and_nothing_of_itself(
    text: str, kind: DestinationKind, said: str
) -> None:
    with pytest.raises(Poison, match=said) as raised:
        read_secret(text, kind)
    assert "hush" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_keys_and_the_path_of_an_address_are_hidden() -> None:
    secret = read_secret(json.dumps({"url": "https://example.com/T0/B0/x", "signing_key": KEY}), "https")

    assert set(secret.hidden) == {KEY, "T0/B0/x"}


@pytest.mark.parametrize(
    ("follows", "said"),
    [
        ("hook?token=hush%2Bhush&x=1", "no hook at /hook?token=hush%2Bhush&x=1"),
        ("hook?token=hush%2Bhush&x=1", "token hush%2Bhush is not known"),
        ("hook?token=hush%2Bhush&x=1", "token hush+hush is not known"),
        ("hook?token=hush+hush&x=1", "token hush hush is not known"),
        ("hook?x=&hush", "hush is not known"),
        ("hook?a=hush&b=hush-and-HUSH", "hush-and-HUSH is not known"),
        ("T0/%68ush", "no hook at /T0/hush"),
        ("T0/hush/hush-5678-9012-3456", "no hook hush-5678-9012-3456"),
    ],
)
def test_a_key_in_an_address_is_hidden_however_it_is_repeated(follows: str, said: str) -> None:
    hidden = read_secret(json.dumps({"url": f"https://example.com/{follows}"}), "slack").hidden

    assert "hush" not in hide(said, hidden).lower()


def test_an_address_that_is_none_is_hidden_whole() -> None:
    assert read_secret('{"url": "https://[hush/hush"}', "slack").hidden == ("https://[hush/hush",)
