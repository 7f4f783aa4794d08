"""The published destinations in a process that has only S3."""

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, cast

import msgspec
import pytest

from sluice.core.notify.destinations import DESTINATIONS, Destination
from sluice.core.published import write_document
from sluice.edge.notify import destinations
from sluice.edge.notify.destinations import make_destinations
from sluice.edge.published import LEAVE_ALONE, MOST_LOOKS, name_in_bucket
from sluice.edge.settings import DestinationSettings
from tests.support.alert_messages import OPENED
from tests.support.played_bucket import PlayedBucket
from tests.support.played_notify import PlayedNotify
from tests.support.samples import NOW

if TYPE_CHECKING:
    from sluice.edge.bucket import Bucket

ON_CALL = Destination(destination_id="on-call", version=1, fleet_id=None, kind="slack", secret="s")


NEW = Destination(destination_id="new", version=1, fleet_id=None, kind="slack", secret="n")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> PlayedBucket:
    bucket = PlayedBucket()
    monkeypatch.setattr(destinations, "Bucket", lambda _s3, _name: cast("Bucket", bucket))
    monkeypatch.setattr("sluice.edge.aws.client", lambda *_, **__: None)
    return bucket


@pytest.fixture
def played(bucket: PlayedBucket) -> PlayedNotify:
    """A process that has read the destinations before the newest one was published."""
    played = PlayedNotify(ON_CALL, NEW)
    known = make_destinations(DestinationSettings("eu-west-1", "control", 30))
    publish(bucket, 1, ON_CALL)
    known.find(OPENED.at)
    publish(bucket, 2, ON_CALL, NEW)
    played.notifying = replace(played.notifying, destinations=known)
    return played


def publish(bucket: PlayedBucket, version: int, *listed: Destination) -> None:
    bucket.put(name_in_bucket(DESTINATIONS), write_document(DESTINATIONS, version, listed, may_be_empty=True))


def test_a_destination_is_known_within_half_a_minute_and_so_is_the_end_of_the_last(bucket: PlayedBucket) -> None:
    known = make_destinations(DestinationSettings("eu-west-1", "control", 30))
    publish(bucket, 1, ON_CALL)
    assert known.find(NOW).content == (ON_CALL,)
    publish(bucket, 2)
    assert known.find(NOW + timedelta(seconds=30)).content == ()


def test_a_delivery_to_a_destination_that_is_not_known_waits_while_s3_does_not_answer(
    played: PlayedNotify, bucket: PlayedBucket
) -> None:
    bucket.away = True
    # The first look fails; the second is not made, because the first has just failed.
    assert not played.deliver(OPENED, "new")
    assert not played.deliver(OPENED, "new", receives=2)
    assert (played.outcomes, [pause for _, pause in played.deliveries.paused]) == ([], [2, 5])

    bucket.away = False
    later = msgspec.structs.replace(OPENED, at=OPENED.at + LEAVE_ALONE)
    assert played.deliver(later, "new", receives=3)
    assert played.outcomes == ["delivered"]


def test_a_delivery_to_a_destination_that_is_not_known_waits_while_no_look_is_left(
    played: PlayedNotify, bucket: PlayedBucket
) -> None:
    publish(bucket, 3, ON_CALL)
    for _ in range(MOST_LOOKS):
        assert played.deliver(OPENED, "archived")
    publish(bucket, 4, ON_CALL, NEW)

    assert not played.deliver(OPENED, "new")
    assert played.outcomes == ["refused"] * MOST_LOOKS
    assert len(played.deliveries.paused) == 1
