"""match may read raw and keep ids, and alarms fire when ids recur in numbers, or when it falls behind."""

from sluice.edge.matching.tables import KEPT
from tests.infra.templates import Templates


def test_it_reads_raw_and_keeps_ids_and_can_neither_list_nor_delete_them(templates: Templates) -> None:
    grants = templates.granted("match")
    assert {action for action in grants if action.startswith(("s3:", "kms:", "rds-db:"))} == {
        "s3:GetObject",
        "s3:PutObject",
        "kms:Decrypt",
        "kms:GenerateDataKey",
        "rds-db:connect",
    }
    assert {place.rpartition('"/')[2].rstrip('"]}') for place in grants["s3:PutObject"]} == {"ids/*"}
    assert {place.rpartition('"/')[2].rstrip('"]}') for place in grants["s3:GetObject"]} == {"ids/*", "raw/*"}


def test_only_one_run_compares_ids_at_a_time(templates: Templates) -> None:
    assert templates.functions()["match"].properties["ReservedConcurrentExecutions"] == 1


def test_ids_are_kept_for_longer_than_they_are_compared(templates: Templates) -> None:
    (bucket,) = (bucket for bucket in templates.every("AWS::S3::Bucket") if "Control" in bucket.name)
    rules = bucket.properties["LifecycleConfiguration"]["Rules"]
    (days,) = (rule["ExpirationInDays"] for rule in rules if rule.get("Prefix") == "ids/")
    assert days * 24 > KEPT.total_seconds() / 3600


def test_alarms_fire_for_what_is_not_settled_and_when_nothing_is_compared(templates: Templates) -> None:
    unsettled, behind = (templates.alarms()[f"match-{name}"].properties for name in ("unsettled", "behind"))
    assert unsettled["Threshold"] == 0
    assert behind["Threshold"] == 3 * 3600
    # Runs that all stop early publish nothing, and are no errors.
    assert (behind["TreatMissingData"], behind["EvaluationPeriods"]) == ("breaching", 3)
