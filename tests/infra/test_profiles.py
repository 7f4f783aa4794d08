"""Profiles synthesize, the same each time, and impossible settings are refused."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from infra.profiles import BASELINE, PROFILES, profile_named
from infra.settings import CONSUMER_RECORD_AGE_SECONDS, Brokers, Delivery, Deployment, Topic
from infra.stacks import define
from tests.infra.templates import ROOT, STACKS, Templates, context, synthesize


def test_every_profile_gives_three_stacks(templates: Templates) -> None:
    assert [len(templates.template(stack)["Resources"]) > 0 for stack in STACKS] == [True, True, True]


def test_an_unknown_profile_is_refused_with_the_names_there_are(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown profile 'huge': choose one of test, dev, baseline, large"):
        define(context("huge"), outdir=str(tmp_path))


@pytest.mark.parametrize("stage", ["", "Prod", "my-stage", "1st", "averyverylongname"])
def test_a_stage_that_cannot_be_part_of_names_is_refused(stage: str) -> None:
    with pytest.raises(ValueError, match="stage"):
        Deployment(stage=stage, region="us-east-1", profile=PROFILES["dev"])


def test_a_region_that_does_not_look_like_one_is_refused() -> None:
    with pytest.raises(ValueError, match="not the name of an AWS region"):
        Deployment(stage="dev", region="moon", profile=PROFILES["dev"])


def test_two_syntheses_give_the_same_bytes(templates: Templates, tmp_path: Path) -> None:
    again = synthesize(templates.profile.name, tmp_path)
    assert {stack: file.read_bytes() for stack, file in again.files.items()} == {
        stack: file.read_bytes() for stack, file in templates.files.items()
    }


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
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "here" / name).read_bytes()


def test_profiles_that_keep_data_are_guarded_against_deletion(templates: Templates) -> None:
    kept = {"baseline", "large"}
    assert templates.profile.keeps_data == (templates.profile.name in kept)
    expected = "Retain" if templates.profile.keeps_data else "Delete"
    for bucket in templates.every("AWS::S3::Bucket"):
        assert bucket.policies["DeletionPolicy"] == expected, bucket.name
    assert templates.only("AWS::KMS::Key").policies["DeletionPolicy"] == expected
    database = templates.only("AWS::RDS::DBInstance")
    assert database.properties["DeletionProtection"] == templates.profile.keeps_data


def test_settings_that_could_not_work_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot hold 3 replicas"):
        Brokers(instance_type="kafka.m7g.large", count=2, storage_gib=100)
    with pytest.raises(ValueError, match="spread evenly"):
        Brokers(instance_type="kafka.m7g.large", count=4, storage_gib=100)
    with pytest.raises(ValueError, match="must outlive the age"):
        replace(BASELINE.topics, raw_events=Topic(partitions=30, retention_seconds=CONSUMER_RECORD_AGE_SECONDS))
    with pytest.raises(ValueError, match="produce deadline"):
        replace(BASELINE.ingest, produce_deadline_seconds=15)
    with pytest.raises(ValueError, match="revoked key"):
        replace(BASELINE.ingest, key_cache_seconds=290)
    with pytest.raises(ValueError, match="between a minimum and a maximum"):
        replace(BASELINE.archive, minimum_pollers=5, maximum_pollers=2)
    with pytest.raises(ValueError, match="without a partition"):
        replace(BASELINE, archive=replace(BASELINE.archive, maximum_pollers=31))
    with pytest.raises(ValueError, match="without a partition"):
        replace(BASELINE, deadletter=replace(BASELINE.deadletter, maximum_pollers=7))
    with pytest.raises(ValueError, match="not being late"):
        replace(BASELINE.archive, batching_window_seconds=60)
    with pytest.raises(ValueError, match="must be able to say what comes again"):
        replace(BASELINE.aggregate, hold_seconds=60)
    with pytest.raises(ValueError, match="kept started"):
        replace(BASELINE.ingest, started=21)
    with pytest.raises(ValueError, match="64 to 128 MiB"):
        Delivery(interval_seconds=60, size_mib=5)


def test_a_profile_is_found_by_its_name() -> None:
    assert [profile_named(name).name for name in PROFILES] == ["test", "dev", "baseline", "large"]
