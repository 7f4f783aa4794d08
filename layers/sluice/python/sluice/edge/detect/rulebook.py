"""The published rules in a process that judges readings: from memory, and what is newer from Valkey and S3."""

from datetime import timedelta

from sluice.core.detect.rulebook import Rulebook
from sluice.core.detect.series_rules import RULES, SeriesRule
from sluice.edge import aws
from sluice.edge.bucket import Bucket
from sluice.edge.cache import Cache
from sluice.edge.published import Published, SharedCopy
from sluice.edge.settings import RuleSettings

# A batch waits for S3 no longer than this, twice.
ANSWER_SECONDS, TRIES = 1, 2


def make_rulebook(settings: RuleSettings, cache: Cache) -> Published[SeriesRule, Rulebook]:
    """Make a function's own rules; they are read at their first use."""

    def open_bucket() -> Bucket:
        s3 = aws.client("s3", answer_seconds=ANSWER_SECONDS, tries=TRIES, region=settings.aws_region)
        return Bucket(s3, settings.control_bucket)

    return Published(
        RULES,
        SeriesRule,
        Rulebook,
        SharedCopy(RULES, cache),
        open_bucket,
        timedelta(seconds=settings.rule_valkey_seconds),
        timedelta(seconds=settings.rule_s3_seconds),
    )
