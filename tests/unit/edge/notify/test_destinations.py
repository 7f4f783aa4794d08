"""The published destinations in a process that has only S3."""

from datetime import timedelta
from typing import TYPE_CHECKING, cast

import pytest

from sluice.core.notify.destinations import DESTINATIONS, Destination
from sluice.core.published import write_document
from sluice.edge.notify import destinations
from sluice.edge.notify.destinations import make_destinations
from sluice.edge.published import name_in_bucket
from sluice.edge.settings import DestinationSettings
from tests.support.played_bucket import PlayedBucket
from tests.support.samples import NOW

if TYPE_CHECKING:
    from sluice.edge.bucket import Bucket

ON_CALL = Destination(destination_id="on-call", version=1, fleet_id=None, kind="slack", secret="s")


def test_a_destination_is_known_within_half_a_minute_and_so_is_the_end_of_the_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bucket = PlayedBucket()
    monkeypatch.setattr(destinations, "Bucket", lambda _s3, _name: cast("Bucket", bucket))
    monkeypatch.setattr("sluice.edge.aws.client", lambda *_, **__: None)
    known = make_destinations(DestinationSettings("eu-west-1", "control", 30))
    bucket.put(name_in_bucket(DESTINATIONS), write_document(DESTINATIONS, 1, [ON_CALL], may_be_empty=True))
    assert known.find(NOW).content == (ON_CALL,)
    bucket.put(name_in_bucket(DESTINATIONS), write_document(DESTINATIONS, 2, [], may_be_empty=True))
    assert known.find(NOW + timedelta(seconds=30)).content == ()
