"""The published rules in a process that judges readings."""

from datetime import timedelta
from typing import TYPE_CHECKING, cast

import pytest

from sluice.core.detect.series_rules import RULES, SeriesRule
from sluice.core.published import write_document
from sluice.edge.cache import Cache
from sluice.edge.detect import rulebook
from sluice.edge.detect.rulebook import make_rulebook
from sluice.edge.published import name_in_bucket
from sluice.edge.settings import RuleSettings
from tests.support.played_bucket import PlayedBucket
from tests.support.played_cache import PlayedServer
from tests.support.samples import NOW

if TYPE_CHECKING:
    from sluice.edge.bucket import Bucket

HOT = SeriesRule(fleet_id="f", rule_id="hot", version=1, metric="cpu_temp", kind="above", open=80.0, clear=75.0)


def test_a_rule_is_in_force_within_half_a_minute_and_so_is_the_end_of_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    bucket, server = PlayedBucket(), PlayedServer()
    monkeypatch.setattr(rulebook, "Bucket", lambda _s3, _name: cast("Bucket", bucket))
    monkeypatch.setattr("sluice.edge.aws.client", lambda *_, **__: None)

    def publish(version: int, *rules: SeriesRule) -> None:
        document = write_document(RULES, version, rules, may_be_empty=True)
        bucket.put(name_in_bucket(RULES), document)
        server.fields[f"published:{RULES}"] = {"version": b"%d" % version, "document": document}

    rules = make_rulebook(RuleSettings("eu-west-1", "control", 30, 240), Cache(server.connect))
    publish(1, HOT)
    assert rules.find(NOW).content.rules_for("f", None, "p-1", "cpu_temp") == (HOT,)
    publish(2)
    half_a_minute = NOW + timedelta(seconds=30)
    assert rules.find(half_a_minute).content.rules_for("f", None, "p-1", "cpu_temp") == ()
    # Valkey lost it: S3 has it.
    publish(3, HOT)
    server.fields.clear()
    assert rules.find(half_a_minute + timedelta(seconds=240)).content.rules_for("f", None, "p-1", "cpu_temp") == (HOT,)
