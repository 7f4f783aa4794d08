"""What analysts see: the table over the raw files, and the view that shows every event once."""

import base64
import json
from pathlib import Path

from aws_cdk import Aws
from aws_cdk import aws_glue as glue
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.settings import Deployment

SQL = Path(__file__).parent / "athena"
FIRST_DAY = "2026-01-01"
"""Where partition projection begins; nothing was received before."""

COLUMNS = {
    "fleet_id": "string",
    "device_id": "string",
    "event_id": "string",
    "contract": "string",
    "schema_version": "int",
    "firmware": "string",
    "event_type": "string",
    "event_time": "timestamp",
    "event_date": "string",
    "received_at": "timestamp",
    "flags": "array<string>",
    "metrics": "map<string,double>",
    "event": "string",
    "correlation_id": "string",
    "kafka_topic": "string",
    "kafka_partition": "int",
    "kafka_offset": "bigint",
}
PARTITIONS = {"region": "string", "dt": "string"}

_TRINO_TYPES = {
    "string": "varchar",
    "int": "integer",
    "bigint": "bigint",
    "timestamp": "timestamp(3)",
    "array<string>": "array(varchar)",
    "map<string,double>": "map(varchar,double)",
}


def _columns(types: dict[str, str]) -> list[glue.CfnTable.ColumnProperty]:
    return [glue.CfnTable.ColumnProperty(name=name, type=kind) for name, kind in types.items()]


def _presto_view(sql: str, database: str, types: dict[str, str]) -> str:
    """Encode a view the way Athena stores one in Glue."""
    definition = {
        "originalSql": sql,
        "catalog": "awsdatacatalog",
        "schema": database,
        "columns": [{"name": name, "type": _TRINO_TYPES[kind]} for name, kind in types.items()],
    }
    return f"/* Presto View: {base64.b64encode(json.dumps(definition).encode()).decode()} */"


class Catalog(Construct):
    """The Glue database with table `raw_events` and view `events`."""

    def __init__(self, scope: Construct, name: str, *, deployment: Deployment, raw: s3.IBucket) -> None:
        super().__init__(scope, name)
        self.database_name = f"sluice_{deployment.stage}"
        database = glue.CfnDatabase(
            self,
            "Database",
            catalog_id=Aws.ACCOUNT_ID,
            database_input=glue.CfnDatabase.DatabaseInputProperty(name=self.database_name),
        )
        root = f"s3://{raw.bucket_name}/raw/"
        self.raw_events = glue.CfnTable(
            self,
            "RawEvents",
            catalog_id=Aws.ACCOUNT_ID,
            database_name=self.database_name,
            table_input=glue.CfnTable.TableInputProperty(
                name="raw_events",
                description="Every event as Firehose delivered it: at least once, so with the occasional second copy.",
                table_type="EXTERNAL_TABLE",
                partition_keys=_columns(PARTITIONS),
                parameters={
                    "EXTERNAL": "TRUE",
                    "classification": "parquet",
                    "projection.enabled": "true",
                    "projection.region.type": "enum",
                    "projection.region.values": deployment.region,
                    "projection.dt.type": "date",
                    "projection.dt.format": "yyyy-MM-dd",
                    "projection.dt.range": f"{FIRST_DAY},NOW",
                    "storage.location.template": f"{root}region=${{region}}/dt=${{dt}}/",
                },
                storage_descriptor=glue.CfnTable.StorageDescriptorProperty(
                    columns=_columns(COLUMNS),
                    location=root,
                    input_format="org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
                    output_format="org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
                    serde_info=glue.CfnTable.SerdeInfoProperty(
                        serialization_library="org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
                    ),
                ),
            ),
        )
        self.raw_events.add_resource_dependency(database)
        seen = COLUMNS | PARTITIONS
        events = glue.CfnTable(
            self,
            "Events",
            catalog_id=Aws.ACCOUNT_ID,
            database_name=self.database_name,
            table_input=glue.CfnTable.TableInputProperty(
                name="events",
                description="Every event once per region and day of arrival: its first copy.",
                table_type="VIRTUAL_VIEW",
                parameters={"presto_view": "true", "comment": "Presto View"},
                view_original_text=_presto_view((SQL / "events.sql").read_text(), self.database_name, seen),
                view_expanded_text="/* Presto View */",
                storage_descriptor=glue.CfnTable.StorageDescriptorProperty(
                    columns=_columns(seen), serde_info=glue.CfnTable.SerdeInfoProperty()
                ),
            ),
        )
        events.add_resource_dependency(self.raw_events)
