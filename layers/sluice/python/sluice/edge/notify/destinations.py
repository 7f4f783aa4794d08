"""The published destinations, as notify knows them. It works outside the private network, where only S3 is."""

from datetime import timedelta

from sluice.core.notify.destinations import DESTINATIONS, Destination
from sluice.edge import aws
from sluice.edge.bucket import Bucket
from sluice.edge.published import Published
from sluice.edge.settings import DestinationSettings

ANSWER_SECONDS, TRIES = 2, 2

Destinations = tuple[Destination, ...]


def make_destinations(settings: DestinationSettings) -> Published[Destination, Destinations]:
    """Make a function's own destinations; they are read at their first use."""

    def open_bucket() -> Bucket:
        s3 = aws.client("s3", answer_seconds=ANSWER_SECONDS, tries=TRIES, region=settings.aws_region)
        return Bucket(s3, settings.control_bucket)

    every = timedelta(seconds=settings.destination_s3_seconds)
    return Published(DESTINATIONS, Destination, tuple, None, open_bucket, every, every)
