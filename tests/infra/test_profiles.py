"""Profiles synthesize, the same each time, and impossible settings are refused."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import msgspec
import pytest

from infra.api import door
from infra.deployment import Deployment
from infra.functions import publish
from infra.profiles import PROFILES, profile_named
from infra.profiles.baseline import BASELINE
from infra.stacks import define
from infra.stores import database as instance
from infra.stores.topics import CONSUMER_RECORD_AGE_SECONDS, Brokers, Topic
from sluice.edge import aws, cache, database
from sluice.edge import settings as read
from sluice.edge.api import keystore
from sluice.edge.control import publishing
from tests.infra.templates import ROOT, STACKS, Templates, context, synthesize

REFUSED: dict[str, Callable[[], object]] = {
    "cannot hold 3 replicas": lambda: Brokers(instance_type="kafka.m7g.large", count=2, storage_gib=100),
    "spread evenly": lambda: Brokers(instance_type="kafka.m7g.large", count=4, storage_gib=100),
    "must outlive the age": lambda: replace(
        BASELINE.topics, raw_events=Topic(partitions=30, retention_seconds=CONSUMER_RECORD_AGE_SECONDS)
    ),
    "64 to 128 MiB": lambda: replace(BASELINE.delivery, size_mib=5),
    "after its produce deadline": lambda: replace(BASELINE.ingest, produce_deadline_seconds=15),
    "environments of two releases": lambda: replace(BASELINE.ingest, started=31),
    "revoked key": lambda: replace(BASELINE.keys, key_s3_seconds=290),
    "between a minimum and a maximum": lambda: replace(BASELINE.archive, minimum_pollers=5, maximum_pollers=2),
    "not being late": lambda: replace(BASELINE.archive, batching_window_seconds=60),
    "archive may wait for": lambda: replace(BASELINE.archive, hold_seconds=90),
    "aggregate may wait for": lambda: replace(BASELINE.aggregate, hold_seconds=60),
    "twice as long as an event can be late": lambda: replace(BASELINE.maintain, sample_hours=10),
    "stay at least as long as others": lambda: replace(BASELINE.maintain, waiting_sample_hours=20),
    "longer than it takes to notice": lambda: replace(BASELINE.maintain, partitions_ahead_hours=6),
    "cursor of the feed": lambda: replace(BASELINE.maintain, change_hours=2),
    "vacuum": lambda: replace(BASELINE.maintain, lock_seconds=1),
    "pressure may ask for": lambda: replace(BASELINE.pressure, hold_seconds=60),
    "query may wait for": lambda: replace(BASELINE.query, answer_seconds=10),
    "lookup must outlast": lambda: replace(BASELINE.lookup, directory_seconds=3),
    "trace may wait for": lambda: replace(BASELINE.trace, seek_seconds=17),
    "reconcile must have time": lambda: replace(BASELINE.reconcile, reserve_seconds=140),
    "must report its progress": lambda: replace(BASELINE.roll, answer_seconds=60),
    "enough earlier runs": lambda: replace(BASELINE.roll, loop_seconds=120),
    "an hour that just closed": lambda: replace(BASELINE.roll, hour_seconds=4000),
    "gives up a second before": lambda: replace(BASELINE.roll, answer_seconds=1),
    "time for an object": lambda: replace(BASELINE.salvage, reserve_seconds=300),
    "keeps others from starting": lambda: replace(
        BASELINE.salvage, compute=replace(BASELINE.salvage.compute, timeout_seconds=301)
    ),
    "must be locked": lambda: replace(BASELINE.checkpoint.lock, days=0),
    "two runs at once": lambda: replace(BASELINE.checkpoint, compute=BASELINE.reconcile.compute),
    "before an alarm is raised": lambda: replace(BASELINE.checkpoint, every_minutes=6),
    "time to sign": lambda: replace(BASELINE.checkpoint, statement_seconds=60),
    "time for a slice": lambda: replace(BASELINE.tier, reserve_seconds=900),
    "hours are computed from minutes": lambda: replace(BASELINE.tier, hour_days=2),
    "a poller without a partition": lambda: replace(BASELINE, archive=replace(BASELINE.archive, maximum_pollers=31)),
    "without a partition has nothing": lambda: replace(
        BASELINE, deadletter=replace(BASELINE.deadletter, maximum_pollers=7)
    ),
    "minutes must stay longer than samples": lambda: replace(BASELINE, tier=replace(BASELINE.tier, minute_days=1)),
    "buffered row is not missing": lambda: replace(
        BASELINE, reconcile=replace(BASELINE.reconcile, archive_grace_seconds=60)
    ),
    "while Kafka still has them": lambda: replace(
        BASELINE, reconcile=replace(BASELINE.reconcile, aggregate_grace_seconds=4 * 3600)
    ),
    "as long as an invocation": lambda: replace(BASELINE, reconcile=replace(BASELINE.reconcile, rerun_seconds=60)),
    "lookup must give up before query does": lambda: replace(
        BASELINE, lookup=replace(BASELINE.lookup, directory_seconds=4, compute=BASELINE.migrate)
    ),
    "lookup must give up before learn does": lambda: replace(BASELINE, learn=replace(BASELINE.learn, lookup_seconds=3)),
    "seek must give up before trace does": lambda: replace(BASELINE, seek=replace(BASELINE.seek, athena_seconds=13)),
    "recall must run for as long as query waits": lambda: replace(
        BASELINE, recall=replace(BASELINE.recall, timeout_seconds=9)
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_settings_that_could_not_work_are_refused(message: str) -> None:
    with pytest.raises(ValueError, match=message):
        REFUSED[message]()


def test_every_setting_is_used_by_a_template_or_read_by_a_function() -> None:
    code = "".join(path.read_text() for path in (ROOT / "infra").rglob("*.py"))
    structs = [one for one in vars(read).values() if isinstance(one, type) and issubclass(one, read.Settings)]
    fields_read = {field.name for struct in structs for field in msgspec.structs.fields(struct)}
    found = list(_settings_in(BASELINE))
    assert len(found) > 100
    for owner, name in found:
        prefixed = f"{owner.lower()}_{name}"
        assert f".{name}" in code or {name, prefixed} & fields_read, f"{owner}Profile.{name} is used nowhere"


def _settings_in(one: object) -> list[tuple[str, str]]:
    """Return the fields of a profile and of everything in it, each with the name of its part."""
    if not is_dataclass(one):
        return []
    owner = type(one).__name__.removesuffix("Profile")
    own = [(owner, field.name) for field in fields(one)]
    return own + [each for field in fields(one) for each in _settings_in(getattr(one, field.name))]


def test_the_time_to_connect_is_the_codes() -> None:
    assert instance.CONNECT_SECONDS == database.CONNECT_SECONDS


def test_the_time_for_newer_keys_is_the_codes() -> None:
    once = aws.CONNECT_SECONDS + keystore.ANSWER_SECONDS
    # S3's tries, the waits between them, and Valkey.
    assert keystore.TRIES * once + cache.SOCKET_SECONDS <= door.KEY_SECONDS
    assert 2 * publishing.S3_TRIES * once + cache.SOCKET_SECONDS <= publish.PUBLISH_SECONDS


def test_every_profile_gives_four_stacks_in_their_order(templates: Templates) -> None:
    assert all(templates.template(stack)["Resources"] for stack in STACKS)
    assert [templates.earlier(stack) for stack in STACKS] == [set(STACKS[:number]) for number in range(len(STACKS))]
    assert profile_named(templates.profile.name).name == templates.profile.name in PROFILES


def test_no_stack_imports_what_a_release_may_replace(templates: Templates) -> None:
    exported = {
        output["Export"]["Name"]: name
        for stack in ("pipeline", "background")
        for name, output in templates.template(stack).get("Outputs", {}).items()
        if "Export" in output
    }
    # The gateway is replaced by no change of ours: devices know its address, and its id is a part of that.
    assert {re.sub("[0-9A-F]{8}", "", name) for name in exported.values()} == {
        "ExportsOutputFnGetAttApiHttpApiApiEndpoint",
        "ExportsOutputRefApiHttpApi",
    }


def test_an_unknown_profile_is_refused_with_the_names_there_are(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown profile 'huge': choose one of test, dev, baseline, large"):
        define(context("huge"), outdir=str(tmp_path))


@pytest.mark.parametrize("stage", ["", "Prod", "my-stage", "1st", "averyverylongname"])
def test_a_stage_that_cannot_be_part_of_names_is_refused(stage: str) -> None:
    with pytest.raises(ValueError, match="stage"):
        Deployment(stage=stage, region="us-east-1", log_days=7, keeps_data=False)


def test_a_region_that_does_not_look_like_one_is_refused() -> None:
    with pytest.raises(ValueError, match="not the name of an AWS region"):
        Deployment(stage="dev", region="moon", log_days=7, keeps_data=False)


def test_two_syntheses_give_the_same_templates(templates: Templates, tmp_path: Path) -> None:
    again = synthesize(templates.profile.name, tmp_path)
    # Not the same bytes: the CDK numbers values through all syntheses of a process, and orders exports by the digits of
    # these numbers, so that a synthesis in which they reach 10,000 may write two exports the other way round.
    assert [again.template(stack) for stack in STACKS] == [templates.template(stack) for stack in STACKS]


def test_the_app_runs_from_anywhere_without_credentials_network_settings_or_a_node_on_the_path(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    environment = {"PATH": str(nothing), "HOME": str(nothing), "CDK_OUTDIR": str(tmp_path / "out")}
    subprocess.run(
        [sys.executable, str(ROOT / "app.py")],
        check=True,
        cwd=nothing,
        env=environment | {"CDK_VALIDATION": os.environ["CDK_VALIDATION"]},
    )
    define(context("dev", stage="dev"), outdir=str(tmp_path / "here")).synth()
    for stack in STACKS:
        name = f"sluice-dev-{stack}.template.json"
        ran, defined = (json.loads((tmp_path / place / name).read_text()) for place in ("out", "here"))
        assert ran == defined


def test_profiles_that_keep_data_are_guarded_against_deletion(templates: Templates) -> None:
    kept = {"baseline", "large"}
    assert templates.profile.keeps_data == (templates.profile.name in kept)
    expected = "RetainExceptOnCreate" if templates.profile.keeps_data else "Delete"
    for bucket in templates.every("AWS::S3::Bucket"):
        assert bucket.policies["DeletionPolicy"] == expected, bucket.name
    for key in templates.every("AWS::KMS::Key"):
        assert key.policies["DeletionPolicy"] == expected, key.name
    database = templates.only("AWS::RDS::DBInstance")
    assert database.properties["DeletionProtection"] == templates.profile.keeps_data
