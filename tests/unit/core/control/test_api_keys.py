"""Making, rotating and revoking keys."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from sluice.core.api.keys import parse_key
from sluice.core.control.api_keys import ApiKey, KeyPeriods, MadeKey, NewKey, create_key, revoke_key, rotate_key
from sluice.core.errors import Refusal

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
PERIODS = KeyPeriods(overlap=timedelta(days=7), reader=timedelta(days=90))
LONG_AGO = NOW - timedelta(days=400)


def make(wanted: NewKey, now: datetime = NOW) -> MadeKey:
    return create_key("f", wanted, "test", PERIODS, now, lambda length: "a" * length)


def rotate(key: ApiKey) -> tuple[ApiKey, MadeKey]:
    return rotate_key(key, "test", PERIODS, NOW, lambda length: "b" * length)


def test_a_new_key_is_one_that_the_edge_reads() -> None:
    made = make(NewKey("device"))
    presented = parse_key(made.text, "test")
    assert (presented.key_id, presented.secret_hash) == (made.key.key_id, made.secret_hash)
    assert made.text not in str(made.key.described(NOW))


@pytest.mark.parametrize(
    ("wanted", "expires"),
    [
        (NewKey("device"), None),
        (NewKey("reader"), NOW + timedelta(days=90)),
        (NewKey("device", expires_in_days=0.5), NOW + timedelta(hours=12)),
        (NewKey("reader", expires_in_days=3650), NOW + timedelta(days=3650)),
    ],
)
def test_readers_keys_expire_by_themselves(wanted: NewKey, expires: datetime | None) -> None:
    assert make(wanted).key.expires_at == expires


def test_both_keys_work_until_the_overlap_ends() -> None:
    old = make(NewKey("device"), LONG_AGO).key
    ending, made = rotate(old)
    assert (ending.state(NOW), made.key.state(NOW)) == ("rotated", "active")
    assert ending.successor == made.key.key_id
    after = NOW + PERIODS.overlap
    assert (ending.state(after), made.key.state(after)) == ("expired", "active")


def test_a_successor_lives_as_long_as_the_old_key_was_to_live() -> None:
    old = make(NewKey("reader", expires_in_days=30), NOW - timedelta(days=20)).key
    assert rotate(old)[1].key.expires_at == NOW + timedelta(days=30)
    assert rotate(make(NewKey("device")).key)[1].key.expires_at is None


def test_a_rotation_never_lengthens_a_life() -> None:
    soon = NOW + timedelta(hours=1)
    ending, _ = rotate(replace(make(NewKey("device"), LONG_AGO).key, expires_at=soon))
    assert ending.expires_at == soon


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"successor": "x"}, "key_rotated"),
        ({"expires_at": NOW}, "key_ended"),
        ({"revoked_at": NOW, "successor": "x"}, "key_ended"),
        # The revocation arrived after this request, and was decided before it.
        ({"revoked_at": NOW + timedelta(seconds=1)}, "key_ended"),
    ],
)
def test_only_a_key_that_works_and_has_no_successor_is_rotated(changes: dict[str, object], code: str) -> None:
    with pytest.raises(Refusal) as refused:
        rotate(replace(make(NewKey("device"), LONG_AGO).key, **changes))
    assert (refused.value.status, refused.value.code) == (409, code)


def test_a_second_revocation_keeps_the_first_time() -> None:
    once = revoke_key(make(NewKey("device")).key, NOW)
    assert once.state(NOW) == "revoked"
    assert revoke_key(once, NOW + timedelta(days=1)) is once
    # Nor does one that arrived earlier and is decided later.
    assert revoke_key(once, NOW - timedelta(seconds=1)) is once
