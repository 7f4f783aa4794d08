"""The published rules in a process that judges readings."""

from datetime import timedelta
from typing import TYPE_CHECKING, cast

import pytest

from sluice.core.detect.rulebook import Rulebook
from sluice.core.detect.series_rules import RULES, SeriesRule
from sluice.core.errors import Retryable
from sluice.core.published import write_document
from sluice.edge.cache import Cache
from sluice.edge.detect import rulebook
from sluice.edge.detect.rulebook import make_rulebook
from sluice.edge.published import Published, name_in_bucket
from sluice.edge.settings import RuleSettings
from tests.support.played_bucket import PlayedBucket
from tests.support.played_cache import PlayedServer
from tests.support.samples import NOW

if TYPE_CHECKING:
    from sluice.edge.bucket import Bucket

HOT = SeriesRule(fleet_id="f", rule_id="hot", version=1, metric="cpu_temp", kind="above", open=80.0, clear=75.0)
COLD = SeriesRule(fleet_id="f", rule_id="cold", version=1, metric="cpu_temp", kind="below", open=5.0, clear=6.0)
HALF_A_MINUTE = timedelta(seconds=30)


class World:
    """The sources of rules, and what was published in both."""

    def __init__(self) -> None:
        self.bucket, self.server = PlayedBucket(), PlayedServer()

    def make(self) -> Published[SeriesRule, Rulebook]:
        """Start a process."""
        return make_rulebook(RuleSettings("eu-west-1", "control", 30, 240), Cache(self.server.connect))

    def publish(self, document: bytes, version: int) -> None:
        self.bucket.put(name_in_bucket(RULES), document)
        self.server.fields[f"published:{RULES}"] = {"version": b"%d" % version, "document": document}

    def publish_rules(self, version: int, *rules: SeriesRule) -> None:
        self.publish(write_document(RULES, version, rules, may_be_empty=True), version)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    monkeypatch.setattr(rulebook, "Bucket", lambda _s3, _name: cast("Bucket", made.bucket))
    monkeypatch.setattr("sluice.edge.aws.client", lambda *_, **__: None)
    return made


def test_a_rule_is_in_force_within_half_a_minute_and_so_is_the_end_of_the_last(world: World) -> None:
    rules = world.make()
    world.publish_rules(1, HOT)
    assert rules.find(NOW).content.rules_for("f", None, "p-1", "cpu_temp") == (HOT,)
    world.publish_rules(2)
    assert rules.find(NOW + HALF_A_MINUTE).content.rules_for("f", None, "p-1", "cpu_temp") == ()
    # Valkey lost it: S3 has it.
    world.publish_rules(3, HOT)
    world.server.fields.clear()
    later = NOW + HALF_A_MINUTE + timedelta(seconds=240)
    assert rules.find(later).content.rules_for("f", None, "p-1", "cpu_temp") == (HOT,)


def test_a_kind_of_a_newer_release_leaves_a_process_the_rules_that_it_has_and_a_new_one_waits(world: World) -> None:
    rules = world.make()
    world.publish_rules(1, HOT)
    rules.find(NOW)
    newer = write_document(RULES, 2, (HOT, COLD), may_be_empty=True).replace(b'"below"', b'"forecast"')
    assert b'"forecast"' in newer
    world.publish(newer, 2)
    assert rules.find(NOW + HALF_A_MINUTE).content.rules_for("f", None, "p-1", "cpu_temp") == (HOT,)
    with pytest.raises(Retryable, match="no usable copy of the rules"):
        world.make().find(NOW + HALF_A_MINUTE)
