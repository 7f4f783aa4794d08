from datetime import timedelta

import msgspec
import pytest

from sluice.core.api.keys import PublishedKey, compose_key, hash_key, open_with, parse_key
from sluice.core.errors import Refusal
from tests.support.samples import NOW

KEY = compose_key("test", "K" * 16, "s" * 43)
REGION = "us-east-1"
STORED = PublishedKey("K" * 16, "demo", "device", hash_key(KEY), 100.0, 10.0)


def test_a_stored_key_opens_the_door_of_its_fleet() -> None:
    assert open_with(parse_key(KEY, "test"), STORED, "device", REGION, NOW).fleet_id == "demo"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (None, "missing_key"),
        ("", "missing_key"),
        ("secret", "malformed_key"),
        (KEY[:-1] + ("a" if KEY[-1] != "a" else "b"), "malformed_key"),
        (KEY.replace("s", "t", 1), "malformed_key"),
        (KEY + "\n", "malformed_key"),
        ("x" * 100_000, "malformed_key"),
        (compose_key("prod", "K" * 16, "s" * 43), "unknown_key"),
    ],
)
def test_a_key_that_cannot_be_ours_is_refused_before_anything_is_looked_up(text: str | None, code: str) -> None:
    with pytest.raises(Refusal) as refused:
        parse_key(text, "test")
    assert (refused.value.status, refused.value.code) == (401, code)


@pytest.mark.parametrize(
    ("stored", "status", "code"),
    [
        (None, 401, "unknown_key"),
        (msgspec.structs.replace(STORED, secret_hash=hash_key("another")), 401, "unknown_key"),
        (msgspec.structs.replace(STORED, revoked_at=NOW), 401, "revoked_key"),
        (msgspec.structs.replace(STORED, expires_at=NOW), 401, "expired_key"),
        (msgspec.structs.replace(STORED, role="reader"), 403, "wrong_role"),
        (msgspec.structs.replace(STORED, home_region="eu-west-1"), 403, "wrong_region"),
    ],
)
def test_a_key_that_may_not_is_refused_with_the_reason(stored: PublishedKey | None, status: int, code: str) -> None:
    with pytest.raises(Refusal) as refused:
        open_with(parse_key(KEY, "test"), stored, "device", REGION, NOW)
    assert (refused.value.status, refused.value.code) == (status, code)


def test_a_key_is_good_until_the_moment_it_expires() -> None:
    soon = msgspec.structs.replace(STORED, expires_at=NOW + timedelta(seconds=1), revoked_at=NOW + timedelta(seconds=1))
    assert open_with(parse_key(KEY, "test"), soon, "device", REGION, NOW) == soon


def test_a_key_opens_where_its_fleet_is_at_home() -> None:
    at_home = msgspec.structs.replace(STORED, home_region=REGION)
    assert open_with(parse_key(KEY, "test"), at_home, "device", REGION, NOW) == at_home


def test_no_refusal_repeats_the_key() -> None:
    for text in (KEY[:-1] + "!", compose_key("prod", "K" * 16, "s" * 43)):
        with pytest.raises(Refusal) as refused:
            parse_key(text, "test")
        assert "sss" not in refused.value.detail
