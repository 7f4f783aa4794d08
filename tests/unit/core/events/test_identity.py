import uuid

import pytest

from sluice.core.events.identity import event_key, hash_48


def test_a_uuid_is_its_own_key() -> None:
    event_id = "4f6c1f52-8d3e-4b57-9a43-6c1f0f0f7d21"
    assert event_key(event_id) == uuid.UUID(event_id).bytes


@pytest.mark.parametrize(
    "event_id",
    [
        "reading-1",
        "4f6c1f528d3e4b579a436c1f0f0f7d21",
        "4f6c1f52-8d3e-4b57-9a43-6c1f0f0f7d2g",
        "4f6c1f52-8d3e-4b57-9a43-6c1f0f0f7  1",
        "--------------------------4b57-9a43-",
        "٤f6c1f52-8d3e-4b57-9a43-6c1f0f0f7d21",
    ],
)
def test_any_other_id_gets_a_key_that_is_always_the_same_and_unique(event_id: str) -> None:
    key = event_key(event_id)
    assert len(key) == 16
    assert key == event_key(event_id) != event_key(f"{event_id} ")


def test_keys_of_ids_that_are_no_uuids_are_the_same_for_ever() -> None:
    assert event_key("reading-1").hex() == "d4b1c87ea4d95edd82bea3551fa76d9b"


def test_a_hash_has_six_bytes_and_its_parts_do_not_run_into_each_other() -> None:
    assert len({hash_48(b"a", str(number).encode()) for number in range(1000)}) == 1000
    assert len(hash_48(b"a")) == 6
    assert hash_48(b"ab", b"c") != hash_48(b"a", b"bc")
