"""tier may move rollups and delete only what the database lets it, and an alarm fires when it falls behind."""

import json

from infra.building_blocks.layers import PANDAS_LAYER
from infra.stores.catalog import FIRST_DAY, ROLLUP_COLUMNS, ROLLUP_PARTITIONS
from sluice.edge.rollup_archive.tables import SCHEMA
from sluice.edge.settings import TierSettings
from tests.infra.templates import Templates

HIVE_TYPES = {
    "string": "string",
    "timestamp[ms]": "timestamp",
    "int64": "bigint",
    "double": "double",
    "list<item: int32>": "array<int>",
    "list<item: int64>": "array<bigint>",
}


def test_it_reads_and_writes_files_and_can_neither_list_nor_delete_them(templates: Templates) -> None:
    grants = templates.granted("tier")
    assert {action for action in grants if action.startswith(("s3:", "kms:", "rds-db:"))} == {
        "s3:GetObject",
        "s3:PutObject",
        "kms:Decrypt",
        "kms:GenerateDataKey",
        "rds-db:connect",
    }
    places = {place.rpartition('"/')[2].rstrip('"]}') for place in grants["s3:PutObject"]}
    assert places == {"staging/*", "rollups/*", "manifests/*"}
    assert all("Rollups" in place for place in grants["s3:PutObject"])


def test_only_one_run_moves_rollups_at_a_time(templates: Templates) -> None:
    assert templates.functions()["tier"].properties["ReservedConcurrentExecutions"] == 1


def test_an_alarm_fires_when_the_database_keeps_what_should_have_left_it(templates: Templates) -> None:
    alarm = templates.alarms()["tier-behind"].properties
    assert alarm["Threshold"] == 24 * 3600
    # Runs that all stop early publish nothing, and are no errors.
    assert (alarm["TreatMissingData"], alarm["EvaluationPeriods"]) == ("breaching", 3)


def test_rollups_are_kept_for_two_years_and_what_is_staged_is_not(templates: Templates) -> None:
    (bucket,) = (bucket for bucket in templates.every("AWS::S3::Bucket") if "Rollups" in bucket.name)
    ends = {
        rule.get("Prefix"): rule["ExpirationInDays"]
        for rule in bucket.properties["LifecycleConfiguration"]["Rules"]
        if "ExpirationInDays" in rule
    }
    assert ends == {None: 730, "staging/": 30}
    settings = templates.settings("tier", TierSettings)
    # Listed files exist: a file leaves the list before it expires, which is this long after its write.
    assert settings.rollup_days < 730 + settings.minute_days


def test_functions_that_read_parquet_have_the_library_of_their_own_architecture_and_python(
    templates: Templates,
) -> None:
    for verb, function in templates.functions().items():
        published = [layer for layer in function.properties["Layers"] if isinstance(layer, str)]
        reads = verb in {"backtest", "tier", "recall", "reconcile", "replay", "resend", "match"}
        expected = [f"arn:aws:lambda:us-east-1:{PANDAS_LAYER}"] if reads else []
        assert published == expected, verb
    assert "Python313-Arm64" in PANDAS_LAYER


def test_analysts_find_the_columns_that_the_files_have(templates: Templates) -> None:
    (table,) = (
        table.properties["TableInput"]
        for table in templates.every("AWS::Glue::Table")
        if table.properties["TableInput"]["Name"] == "rollups"
    )
    columns = {column["Name"]: column["Type"] for column in table["StorageDescriptor"]["Columns"]}
    assert columns == ROLLUP_COLUMNS
    assert columns == {field.name: HIVE_TYPES[str(field.type)] for field in SCHEMA}
    assert {key["Name"]: key["Type"] for key in table["PartitionKeys"]} == ROLLUP_PARTITIONS
    parameters = table["Parameters"]
    assert parameters["projection.resolution.values"] == "1m,1h"
    assert parameters["projection.dt.range"] == f"{FIRST_DAY},NOW"
    assert json.dumps(parameters["storage.location.template"]).endswith(
        '/rollups/resolution=${resolution}/dt=${dt}/"]]}'
    )
