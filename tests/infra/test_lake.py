"""Stored data expires, is Parquet by the table's own columns, and can be queried at a bounded cost."""

import base64
import json
from typing import Any

import pytest

from infra.stores.catalog import SQL
from infra.stores.queries import NAMED_QUERIES
from sluice.edge.matching.tables import IDS
from sluice.edge.notify.told import FOLDER
from sluice.edge.replay.planning import LISTS
from tests.infra.conventions import REPLACED
from tests.infra.templates import ROOT, Resource, Templates


def _bucket(templates: Templates, name: str) -> dict[str, Any]:
    (bucket,) = [bucket for bucket in templates.every("AWS::S3::Bucket") if name in bucket.name]
    return bucket.properties


def _expiry(bucket: dict[str, Any]) -> dict[str, int]:
    rules = bucket["LifecycleConfiguration"]["Rules"]
    return {rule.get("Prefix", ""): rule["ExpirationInDays"] for rule in rules if "ExpirationInDays" in rule}


def _text(value: Any) -> str:
    """Return a value as text, with references by their names."""
    if isinstance(value, str):
        return value
    if "Fn::Join" in value:
        return "".join(_text(part) for part in value["Fn::Join"][1])
    return f"<{value['Ref']}>"


def _tables(templates: Templates) -> dict[str, dict[str, Any]]:
    return {table.properties["TableInput"]["Name"]: table.properties for table in templates.every("AWS::Glue::Table")}


def test_no_bucket_is_public_or_in_clear(templates: Templates) -> None:
    for bucket in templates.every("AWS::S3::Bucket"):
        assert set(bucket.properties["PublicAccessBlockConfiguration"].values()) == {True}, bucket.name
        (rule,) = bucket.properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms", bucket.name


def test_every_bucket_refuses_connections_without_tls(templates: Templates) -> None:
    refusing = {
        policy.properties["Bucket"]["Ref"]
        for policy in templates.every("AWS::S3::BucketPolicy")
        for statement in policy.properties["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Deny" and statement.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}
    }
    assert refusing == {bucket.name for bucket in templates.every("AWS::S3::Bucket")}


def test_every_bucket_has_an_end_for_what_is_in_it_and_for_uploads_never_finished(templates: Templates) -> None:
    for bucket in templates.every("AWS::S3::Bucket"):
        rules = bucket.properties["LifecycleConfiguration"]["Rules"]
        assert {rule["Status"] for rule in rules} == {"Enabled"}
        assert any("AbortIncompleteMultipartUpload" in rule for rule in rules), bucket.name
        # Control data is replaced in place. The lists of replays, the ids and what was told beside it are not.
        ends = {prefix for prefix in _expiry(bucket.properties) if prefix not in (LISTS, IDS, FOLDER)}
        assert bool(ends) != (REPLACED in bucket.name), bucket.name


def test_raw_is_kept_for_90_days_and_what_failed_for_30(templates: Templates) -> None:
    assert _expiry(_bucket(templates, "Raw")) == {"raw/": 90, "errors/": 30, "salvaged/": 30}
    assert _expiry(_bucket(templates, "DeadLetter")) == {"": 30}
    assert _expiry(_bucket(templates, "FailedBatches")) == {"": 30}


def test_everything_firehose_writes_is_under_a_prefix_that_expires(templates: Templates) -> None:
    expiring = tuple(_expiry(_bucket(templates, "Raw")))
    assert templates.delivery()["Prefix"].startswith(expiring)
    assert templates.delivery()["ErrorOutputPrefix"].startswith(expiring)


def test_firehose_converts_to_parquet_by_the_table_analysts_read(templates: Templates) -> None:
    conversion = templates.delivery()["DataFormatConversionConfiguration"]
    assert conversion["Enabled"] is True
    # With its default, metrics whose names differ only by case would make a row unreadable.
    assert conversion["InputFormatConfiguration"]["Deserializer"] == {"OpenXJsonSerDe": {"CaseInsensitive": False}}
    assert "ParquetSerDe" in conversion["OutputFormatConfiguration"]["Serializer"]
    (raw_events,) = [table for table in templates.every("AWS::Glue::Table") if "RawEvents" in table.name]
    assert conversion["SchemaConfiguration"]["TableName"] == {"Ref": raw_events.name}
    assert conversion["SchemaConfiguration"]["DatabaseName"] == raw_events.properties["DatabaseName"]


def test_firehose_writes_where_partition_projection_looks(templates: Templates) -> None:
    parameters = _tables(templates)["raw_events"]["TableInput"]["Parameters"]
    (region,) = parameters["projection.region.values"].split(",")
    looked_for = _text(parameters["storage.location.template"]).replace("${region}", region)
    written = templates.delivery()["Prefix"].replace("!{timestamp:yyyy-MM-dd}", "${dt}")
    (bucket,) = [bucket.name for bucket in templates.every("AWS::S3::Bucket") if "Raw" in bucket.name]
    assert looked_for == f"s3://<{bucket}>/{written}"


@pytest.mark.parametrize("name", ["raw_events", "dead_letters"])
def test_partitions_are_projected_from_the_first_day_to_now(templates: Templates, name: str) -> None:
    table = _tables(templates)[name]["TableInput"]
    parameters = table["Parameters"]
    assert [column["Name"] for column in table["PartitionKeys"]] == ["region", "dt"]
    assert parameters["projection.enabled"] == "true"
    assert parameters["projection.region.type"] == "enum"
    assert parameters["projection.dt.type"] == "date"
    assert parameters["projection.dt.format"] == "yyyy-MM-dd"
    assert parameters["projection.dt.range"] == "2026-01-01,NOW"


def test_dead_letters_are_lines_of_json_where_deadletter_may_write_them(templates: Templates) -> None:
    table = _tables(templates)["dead_letters"]["TableInput"]
    storage = table["StorageDescriptor"]
    assert storage["SerdeInfo"]["SerializationLibrary"] == "org.openx.data.jsonserde.JsonSerDe"
    assert storage["InputFormat"] == "org.apache.hadoop.mapred.TextInputFormat"
    assert table["Parameters"]["classification"] == "json"
    (bucket,) = [bucket.name for bucket in templates.every("AWS::S3::Bucket") if "DeadLetter" in bucket.name]
    assert _text(storage["Location"]) == f"s3://<{bucket}>/dead_letters/"
    looked_for = _text(table["Parameters"]["storage.location.template"])
    assert looked_for == f"s3://<{bucket}>/dead_letters/region=${{region}}/dt=${{dt}}/"


def test_a_dead_letters_columns_are_what_its_contract_lets_it_say(templates: Templates) -> None:
    table = _tables(templates)["dead_letters"]["TableInput"]
    contract = json.loads((ROOT / "schemas" / "dead_letter" / "1.json").read_text())["properties"]
    columns = {column["Name"] for column in table["StorageDescriptor"]["Columns"]}
    # The region is the partition's; the version is in the contract's name.
    assert columns == set(contract) - {"version"}


@pytest.mark.parametrize(("name", "over"), [("stored_events", "raw_events"), ("events", "stored_events")])
def test_a_view_is_stored_as_athena_stores_one_with_the_columns_of_the_table(
    templates: Templates, name: str, over: str
) -> None:
    tables = _tables(templates)
    table, view = tables["raw_events"]["TableInput"], tables[name]["TableInput"]
    assert view["TableType"] == "VIRTUAL_VIEW"
    assert view["Parameters"]["presto_view"] == "true"
    text = view["ViewOriginalText"]
    definition = json.loads(base64.b64decode(text.removeprefix("/* Presto View: ").removesuffix(" */")))
    assert definition["originalSql"] == (SQL / f"{name}.sql").read_text()
    assert f"FROM {over}" in definition["originalSql"]
    assert definition["catalog"] == "awsdatacatalog"
    assert definition["schema"] == tables[name]["DatabaseName"] == "sluice_proof"
    columns = [column["Name"] for column in table["StorageDescriptor"]["Columns"] + table["PartitionKeys"]]
    assert [column["name"] for column in definition["columns"]] == columns
    assert [column["Name"] for column in view["StorageDescriptor"]["Columns"]] == columns
    named = {one.properties["TableInput"]["Name"]: one for one in templates.every("AWS::Glue::Table")}
    assert named[over].name in named[name].policies["DependsOn"]


def test_firehose_flushes_within_a_minute(templates: Templates) -> None:
    hints = templates.delivery()["BufferingHints"]
    assert hints["IntervalInSeconds"] <= 60
    assert 64 <= hints["SizeInMBs"] <= 128


def test_a_query_cannot_read_without_bound_or_leave_results_in_clear(templates: Templates) -> None:
    workgroup = templates.only("AWS::Athena::WorkGroup").properties["WorkGroupConfiguration"]
    assert workgroup["EnforceWorkGroupConfiguration"] is True
    assert 10_000_000 <= workgroup["BytesScannedCutoffPerQuery"] <= 2000 * 1024**3
    assert workgroup["ResultConfiguration"]["EncryptionConfiguration"]["EncryptionOption"] == "SSE_KMS"


@pytest.mark.parametrize("query", NAMED_QUERIES)
def test_named_queries_are_the_files_that_are_tested(templates: Templates, query: str) -> None:
    named: dict[str, Resource] = {
        found.properties["Name"]: found for found in templates.every("AWS::Athena::NamedQuery")
    }
    assert named[query].properties["QueryString"] == (SQL / f"{query}.sql").read_text()
    assert named[query].properties["Database"] == "sluice_proof"
    read = [table for table in templates.every("AWS::Glue::Table") if table.name in named[query].policies["DependsOn"]]
    assert {table.properties["TableInput"]["Name"] for table in read} == set(NAMED_QUERIES[query])


def test_who_asked_for_an_object_with_events_or_numbers_is_recorded_where_data_is_kept(templates: Templates) -> None:
    trails = list(templates.every("AWS::CloudTrail::Trail"))
    assert len(trails) == templates.profile.keeps_data
    for trail in trails:
        assert trail.properties["IsLogging"] is trail.properties["EnableLogFileValidation"] is True
        (selector,) = trail.properties["AdvancedEventSelectors"]
        fields = {field.pop("Field"): field for field in selector["FieldSelectors"]}
        # Reads too: no selector is on readOnly.
        assert set(fields) == {"eventCategory", "resources.type", "resources.ARN"}
        selected = json.dumps(fields["resources.ARN"])
        own = trail.properties["S3BucketName"]["Ref"]
        assert own not in selected, "what the trail writes would be recorded, and written"
        control = {"Control", "Checkpoints"}
        for bucket in templates.every("AWS::S3::Bucket"):
            held = bucket.name != own and not any(name in bucket.name for name in control)
            assert (f'"{bucket.name}", "Arn"]}}, "/"' in selected) is held, bucket.name
        assert {
            policy.name for policy in templates.every("AWS::S3::BucketPolicy") if own in json.dumps(policy.properties)
        } <= set(trail.policies["DependsOn"])
        assert _expiry(_bucket(templates, "Trail")) == {"": 400}
