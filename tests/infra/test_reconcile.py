"""reconcile may only read what is stored, and its findings raise alarms."""

from datetime import timedelta

from sluice.core.ledger.statement import SETTLED
from tests.infra.templates import Templates


def test_it_reads_what_is_stored_and_writes_no_object(templates: Templates) -> None:
    grants = templates.granted("reconcile")
    assert {action for action in grants if action.startswith(("s3:", "kms:", "rds-db:"))} == {
        "s3:GetObject",
        "s3:ListBucket",
        "kms:Decrypt",
        "rds-db:connect",
    }


def test_a_statement_is_answered_during_a_run(templates: Templates) -> None:
    assert templates.functions()["reconcile"].properties["ReservedConcurrentExecutions"] == 2


def test_alarms_fire_for_missing_events_and_for_a_ledger_that_is_not_kept(templates: Templates) -> None:
    alarm = templates.alarms()["reconcile-unaccounted"].properties
    assert (alarm["Threshold"], alarm["Statistic"], alarm["TreatMissingData"]) == (0, "Maximum", "breaching")
    assert alarm["Period"] >= 3 * 60 * templates.profile.reconcile.every_minutes


def test_nothing_is_on_its_way_for_longer_than_a_statement_believes(templates: Templates) -> None:
    profile = templates.profile
    grace = max(profile.reconcile.archive_grace_seconds, profile.reconcile.aggregate_grace_seconds)
    assert timedelta(seconds=profile.topics.raw_events.retention_seconds + grace) <= SETTLED
