"""reconcile may read what is stored and nothing more, has time for what it begins, and is heard."""

from dataclasses import replace
from datetime import timedelta

import pytest

from infra.profiles import BASELINE
from sluice.core.ledger.statement import SETTLED
from sluice.edge.settings import BrokerSettings, DatabaseSettings, ReconcileSettings
from tests.infra.templates import Templates
from tests.infra.test_tier import granted


def settings(templates: Templates) -> ReconcileSettings:
    return ReconcileSettings.from_environ(variables(templates))


def variables(templates: Templates) -> dict[str, str]:
    found: dict[str, str] = templates.functions()["reconcile"].properties["Environment"]["Variables"]
    # What is known at deployment only, and the region, which Lambda sets.
    return {name: value if isinstance(value, str) else "1" for name, value in found.items()} | {"AWS_REGION": "here"}


def test_its_settings_are_what_its_code_reads(templates: Templates) -> None:
    assert settings(templates).raw_events_topic == "raw-events"
    assert DatabaseSettings.from_environ(variables(templates)).database_user == "sluice_reconcile"
    assert BrokerSettings.from_environ(variables(templates)).kafka_auth == "iam"


def test_it_reads_what_is_stored_writes_no_object_and_invokes_consumers_alone(templates: Templates) -> None:
    grants = granted(templates, "reconcile")
    assert {action for action in grants if action.startswith(("s3:", "kms:", "rds-db:", "lambda:"))} == {
        "s3:GetObject",
        "s3:ListBucket",
        "kms:Decrypt",
        "rds-db:connect",
        "lambda:InvokeFunction",
    }
    assert len(grants["lambda:InvokeFunction"]) == 2
    assert {
        verb for verb in ("Archive", "Aggregate") for place in grants["lambda:InvokeFunction"] if verb in place
    } == {
        "Archive",
        "Aggregate",
    }


def test_a_statement_is_answered_while_a_run_goes_on_and_a_run_ends_what_it_begins(templates: Templates) -> None:
    function = templates.functions()["reconcile"].properties
    assert function["ReservedConcurrentExecutions"] == 2
    ours = settings(templates)
    assert ours.rerun_seconds + ours.statement_seconds < ours.reserve_seconds < function["Timeout"]
    for verb in ("archive", "aggregate"):
        assert templates.functions()[verb].properties["Timeout"] <= ours.rerun_seconds


def test_somebody_hears_of_events_that_are_nowhere_and_of_a_ledger_that_nobody_keeps(templates: Templates) -> None:
    alarm = templates.alarms()["reconcile-unaccounted"].properties
    assert (alarm["MetricName"], alarm["Threshold"], alarm["Statistic"]) == ("UnaccountedEvents", 0, "Maximum")
    assert alarm["TreatMissingData"] == "breaching"
    assert alarm["Dimensions"] == [{"Name": "service", "Value": "reconcile"}]
    assert alarm["Period"] >= 3 * 60 * templates.profile.reconcile.every_minutes


def test_somebody_hears_of_each_loss_beside_one_that_stays_and_of_what_cannot_be_read(templates: Templates) -> None:
    for name, metric in (("newly-missing", "NewlyMissing"), ("unreadable", "ObjectsUnreadable")):
        alarm = templates.alarms()[f"reconcile-{name}"].properties
        assert (alarm["MetricName"], alarm["Threshold"], alarm["Statistic"]) == (metric, 0, "Maximum")
        assert alarm["Dimensions"] == [{"Name": "service", "Value": "reconcile"}]


def test_nothing_is_on_its_way_for_longer_than_a_statement_believes(templates: Templates) -> None:
    profile = templates.profile
    grace = max(profile.reconcile.archive_grace_seconds, profile.reconcile.aggregate_grace_seconds)
    assert timedelta(seconds=profile.topics.raw_events.retention_seconds + grace) <= SETTLED


def test_settings_that_could_not_work_are_refused() -> None:
    with pytest.raises(ValueError, match="end what it begins"):
        replace(BASELINE.reconcile, reserve_seconds=140)
    with pytest.raises(ValueError, match="waits for a file"):
        replace(BASELINE, reconcile=replace(BASELINE.reconcile, archive_grace_seconds=60))
    with pytest.raises(ValueError, match="while Kafka still has it"):
        replace(BASELINE, reconcile=replace(BASELINE.reconcile, aggregate_grace_seconds=4 * 3600))
    with pytest.raises(ValueError, match="as long as it takes"):
        replace(BASELINE, reconcile=replace(BASELINE.reconcile, rerun_seconds=60))
