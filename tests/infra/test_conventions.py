"""Conventions hold in every profile, and each of them notices when one does not."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.infra import conventions
from tests.infra.conventions import CONVENTIONS, Complaints
from tests.infra.templates import STACKS, Templates


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_everything_keeps_to(templates: Templates, convention: Callable[[Templates], Complaints]) -> None:
    complaints = list(convention(templates))
    assert not complaints, "\n".join(complaints)


class Change:
    """A change to templates that breaks a convention."""

    def __init__(self, templates: Templates, directory: Path) -> None:
        self._profile = templates.profile
        self._directory = directory
        self._templates = {stack: templates.template(stack) for stack in STACKS}

    def name(self, place: str) -> str:
        """Return the logical name of what stands at a place: the place and a digest of its path."""
        (found,) = [
            name
            for template in self._templates.values()
            for name in template["Resources"]
            if re.fullmatch(f"{place}[0-9A-F]{{8}}", name)
        ]
        return str(found)

    def resource(self, place: str) -> dict[str, Any]:
        """Return what stands at a place."""
        name = self.name(place)
        (found,) = [
            template["Resources"][name] for template in self._templates.values() if name in template["Resources"]
        ]
        resource: dict[str, Any] = found
        return resource

    def properties(self, place: str) -> dict[str, Any]:
        """Return the properties of what stands at a place."""
        properties: dict[str, Any] = self.resource(place)["Properties"]
        return properties

    def drop(self, place: str) -> None:
        """Remove what stands at a place."""
        name = self.name(place)
        for template in self._templates.values():
            template["Resources"].pop(name, None)

    def add(self, name: str, kind: str, **properties: Any) -> None:
        """Add a resource to the pipeline."""
        self._templates["pipeline"]["Resources"][name] = {"Type": kind, "Properties": properties}

    def made(self) -> Templates:
        """Return the changed templates."""
        files = {stack: self._directory / f"{stack}.json" for stack in STACKS}
        for stack, file in files.items():
            file.write_text(json.dumps(self._templates[stack]))
        return Templates(self._profile, files)


def _rename_archive(change: Change) -> None:
    change.properties("ArchiveFunction")["FunctionName"] = "sluice-proof-hoard"


def _tell_nothing(change: Change) -> None:
    del change.properties("PressureFunction")["Environment"]["Variables"]["BUFFER_SECONDS"]


def _tell_too_much(change: Change) -> None:
    change.properties("PressureFunction")["Environment"]["Variables"]["SPEED"] = "9"


def _lose_a_schedule(change: Change) -> None:
    change.drop("TierSchedule")


def _lose_a_source(change: Change) -> None:
    change.drop("AggregateSourceMapping")


def _read_the_wrong_topic(change: Change) -> None:
    change.properties("AggregateSourceMapping")["Topics"] = ["alert-events"]


def _halt_in_silence(change: Change) -> None:
    change.drop("ArchiveQuarantineAlarm")


def _hold_in_silence(change: Change) -> None:
    change.drop("AggregateVersionAheadAlarm")


def _watch_what_nothing_writes(change: Change) -> None:
    change.properties("TierBehindAlarm")["MetricName"] = "TierAhead"


def _watch_without_its_service(change: Change) -> None:
    change.properties("TierBehindAlarm")["Dimensions"] = []


def _keep_a_log_for_ever(change: Change) -> None:
    del change.properties("ArchiveLogs")["RetentionInDays"]


def _share_a_log(change: Change) -> None:
    logging = change.properties("IngestFunction")["LoggingConfig"]
    change.properties("ArchiveFunction")["LoggingConfig"] = logging


def _let_it_run_as_long_as_it_likes(change: Change) -> None:
    del change.properties("IngestFunction")["Timeout"]


def _let_it_run_as_often_as_it_likes(change: Change) -> None:
    del change.properties("IngestFunction")["ReservedConcurrentExecutions"]


def _reserve_everything(change: Change) -> None:
    change.properties("IngestFunction")["ReservedConcurrentExecutions"] = 950


def _look_away_from_errors(change: Change) -> None:
    change.drop("DeadletterErrorsAlarm")


def _look_away_from_throttles(change: Change) -> None:
    change.drop("IngestThrottlesAlarm")


def _look_at_the_wrong_group(change: Change) -> None:
    change.properties("ArchiveLateAlarm")["Dimensions"][1]["Value"] = "archives"


def _look_away_from_losses(change: Change) -> None:
    change.drop("ArchiveDroppedAlarm")


def _lose_what_fails(change: Change) -> None:
    del change.properties("ArchiveSourceMapping")["DestinationConfig"]


def _set_aside_in_silence(change: Change) -> None:
    change.drop("ArchiveSetAsideAlarm")


def _give_up_dead_letters(change: Change) -> None:
    change.properties("DeadletterSourceMapping")["MaximumRecordAgeInSeconds"] = 3600


def _invoke_without_waiting(change: Change) -> None:
    archive = change.name("ArchiveFunction")
    change.add("Tick", "AWS::Lambda::Permission", FunctionName={"Ref": archive}, Principal="scheduler.amazonaws.com")


def _tell_nobody(change: Change) -> None:
    del change.properties("ApiFailuresAlarm")["AlarmActions"]


def _leave_silence_open(change: Change) -> None:
    del change.properties("ApiFailuresAlarm")["TreatMissingData"]


def _page_nobody(change: Change) -> None:
    del change.properties("OutagesNumbers")["AlarmActions"]


def _wait_for_no_alarm(change: Change) -> None:
    change.properties("OutagesNumbers")["AlarmRule"] = 'ALARM("sluice-proof-aggregate-late-again")'


def _give_up_into_nothing(change: Change) -> None:
    del change.properties("AlertingAttempts")["RedrivePolicy"]


def _give_up_reports_in_silence(change: Change) -> None:
    change.drop("AlertingAttemptsGivenUpAlarm")


def _forget_what_was_given_up(change: Change) -> None:
    change.properties("AlertingAttemptsGivenUp")["MessageRetentionPeriod"] = 3600


def _collect_for_ever(change: Change) -> None:
    change.properties("LakeBucketsDeadLetter")["LifecycleConfiguration"]["Rules"].pop(0)


def _suspend_the_end(change: Change) -> None:
    for rule in change.properties("LakeBucketsFailedBatches")["LifecycleConfiguration"]["Rules"]:
        rule["Status"] = "Disabled"


def _keep_a_named_bucket(change: Change) -> None:
    bucket = change.resource("LakeBucketsDeadLetter")
    bucket["DeletionPolicy"] = "Retain"
    bucket["Properties"]["BucketName"] = "sluice-proof-dead-letters"


def _fill_the_pipeline(change: Change) -> None:
    for number in range(conventions.MOST_RESOURCES):
        change.add(f"Topic{number}", "AWS::SNS::Topic")


BROKEN = [
    (_rename_archive, conventions.names_mirror, "hoard: no infra/functions/hoard.py"),
    (_rename_archive, conventions.names_mirror, "functions/archive: add infra/functions/archive.py, and use"),
    (_rename_archive, conventions.names_mirror, "infra/functions/archive.py: infra/stacks.py does not use"),
    (_rename_archive, conventions.names_mirror, "hoard: nothing in tests/ is named after it"),
    (_rename_archive, conventions.every_function_is_built_by_its_construct, "hoard: no HoardRole"),
    (_tell_nothing, conventions.every_function_is_told_what_its_code_reads, "reads PressureSettings.buffer_seconds"),
    (_tell_too_much, conventions.every_function_is_told_what_its_code_reads, "is given SPEED, and reads no struct"),
    (_lose_a_schedule, conventions.every_function_is_started, "tier: nothing starts it"),
    (_lose_a_source, conventions.every_consumer_has_its_event_source, "aggregate: is a consumer of raw-events, and no"),
    (_read_the_wrong_topic, conventions.every_consumer_has_its_event_source, "aggregate: feeds aggregate from alert-"),
    (_keep_a_log_for_ever, conventions.every_log_expires, "is kept for ever"),
    (_share_a_log, conventions.every_log_expires, "archive: shares its log group"),
    (_let_it_run_as_long_as_it_likes, conventions.every_function_is_bounded, "ingest: no Timeout"),
    (
        _let_it_run_as_often_as_it_likes,
        conventions.every_function_is_bounded,
        "ingest: no ReservedConcurrentExecutions",
    ),
    (_reserve_everything, conventions.concurrency_adds_up, "of 900"),
    (_look_away_from_errors, conventions.every_function_is_watched, "deadletter: no alarm on errors"),
    (_look_away_from_throttles, conventions.every_function_is_watched, "ingest: no alarm on throttles"),
    (_look_at_the_wrong_group, conventions.every_consumer_is_watched, "archive: no alarm on being late"),
    (_look_away_from_losses, conventions.every_consumer_is_watched, "archive: no alarm on DroppedEventCount"),
    (_halt_in_silence, conventions.every_consumer_is_watched, "archive: no alarm on QuarantineExceeded"),
    (_hold_in_silence, conventions.every_consumer_is_watched, "aggregate: no alarm on RecordsHeld"),
    (_watch_what_nothing_writes, conventions.every_metric_of_ours_is_registered, "TierAhead is not in sluice.core"),
    (_watch_without_its_service, conventions.every_metric_of_ours_is_registered, "TierBehind is not written with"),
    (_lose_what_fails, conventions.every_failure_has_somewhere_to_go, "archive: no failure destination"),
    (_set_aside_in_silence, conventions.every_failure_has_somewhere_to_go, "archive: no alarm on what goes to"),
    (_give_up_dead_letters, conventions.every_failure_has_somewhere_to_go, "deadletter: gives up"),
    (_invoke_without_waiting, conventions.every_failure_has_somewhere_to_go, "archive: no failure destination"),
    (_give_up_into_nothing, conventions.every_queue_gives_up_into_another, "has no queue for what it gives up"),
    (_give_up_reports_in_silence, conventions.every_queue_gives_up_into_another, "no alarm on what"),
    (_forget_what_was_given_up, conventions.every_queue_gives_up_into_another, "for 14 days"),
    (_tell_nobody, conventions.every_alarm_is_heard_and_understood, "AlarmActions do not reach"),
    (_leave_silence_open, conventions.every_alarm_is_heard_and_understood, "no TreatMissingData"),
    (_page_nobody, conventions.every_outage_pages, "outage-numbers: AlarmActions do not fit"),
    (_wait_for_no_alarm, conventions.every_outage_pages, "no alarm sluice-proof-aggregate-late-again"),
    (_collect_for_ever, conventions.every_bucket_has_an_end_for_what_is_in_it, "no ExpirationInDays"),
    (_suspend_the_end, conventions.every_bucket_has_an_end_for_what_is_in_it, "no AbortIncompleteMultipartUpload"),
    (_keep_a_named_bucket, conventions.what_is_retained_has_no_fixed_name, "fixed BucketName"),
    (_fill_the_pipeline, conventions.every_stack_has_room, "resources of 470; CloudFormation takes 500"),
]


@pytest.mark.parametrize("templates", ["test"], indirect=True)
@pytest.mark.parametrize(
    ("breaking", "convention", "complaint"),
    BROKEN,
)
def test_a_convention_notices_when_it_is_broken(
    templates: Templates,
    tmp_path: Path,
    breaking: Callable[[Change], None],
    convention: Callable[[Templates], Complaints],
    complaint: str,
) -> None:
    change = Change(templates, tmp_path)
    breaking(change)
    complaints = list(convention(change.made()))
    assert any(complaint in said for said in complaints), complaints


def test_every_convention_is_broken_by_a_test() -> None:
    assert {convention for _, convention, _ in BROKEN} == set(CONVENTIONS)
