"""The analysts' tables over raw events, dead letters and rollups, and the views over raw events."""

import base64
import json
from pathlib import Path

from aws_cdk import Aws
from aws_cdk import aws_glue as glue
from constructs import Construct

from infra.deployment import Deployment
from infra.stores.buckets import Buckets

SQL = Path(__file__).parents[1] / "athena"
FIRST_DAY = "2026-01-01"
"""Where partition projection begins. No event was received before."""

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
DEAD_LETTER_COLUMNS = {
    "letter_id": "string",
    "reason": "string",
    "detail": "string",
    "event": "string",
    "event_base64": "string",
    "event_size": "bigint",
    "fleet_id": "string",
    "device_id": "string",
    "event_id": "string",
    "contract": "string",
    "schema_version": "int",
    "firmware": "string",
    "correlation_id": "string",
    "received_at": "timestamp",
    "kafka_topic": "string",
    "kafka_partition": "int",
    "kafka_offset": "bigint",
    "envelope": "string",
    "first_event": "string",
    "first_kafka_partition": "int",
    "first_kafka_offset": "bigint",
    "consumer": "string",
    "attempts": "int",
    "failed_at": "timestamp",
    # At the end: a table's columns keep their order, and letters of earlier releases have neither.
    "path": "string",
    "rule": "string",
}
ROLLUP_COLUMNS = {
    "fleet_id": "string",
    "device_id": "string",
    "metric": "string",
    "unit": "string",
    "window_start": "timestamp",
    "count": "bigint",
    "avg": "double",
    "min": "double",
    "max": "double",
    "p50": "double",
    "p95": "double",
    "sum": "double",
    "m2": "double",
    "bins": "array<int>",
    "bin_counts": "array<bigint>",
}
PARTITIONS = {"region": "string", "dt": "string"}
ROLLUP_PARTITIONS = {"resolution": "string", "dt": "string"}

_TRINO_TYPES = {
    "string": "varchar",
    "int": "integer",
    "bigint": "bigint",
    "timestamp": "timestamp(3)",
    "array<string>": "array(varchar)",
    "map<string,double>": "map(varchar,double)",
}

# Which classes read and write a format: input, output, serializer.
PARQUET = (
    "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
)
# The name of a file of lines says whether it is compressed.
JSON_LINES = (
    "org.apache.hadoop.mapred.TextInputFormat",
    "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
    "org.openx.data.jsonserde.JsonSerDe",
)


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


def _construct_id(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


class Catalog(Construct):
    """The Glue database: tables `raw_events`, `dead_letters` and `rollups`, views `stored_events` and `events`."""

    def __init__(self, scope: Construct, deployment: Deployment, buckets: Buckets) -> None:
        super().__init__(scope, "Catalog")
        self.database_name = f"sluice_{deployment.stage}"
        self._database = glue.CfnDatabase(
            self,
            "Database",
            catalog_id=Aws.ACCOUNT_ID,
            database_input=glue.CfnDatabase.DatabaseInputProperty(name=self.database_name),
        )
        self.raw_events = self._table(
            "raw_events",
            COLUMNS,
            partitions={"region": deployment.region},
            root=f"s3://{buckets.raw.bucket_name}/raw/",
            classification="parquet",
            file_format=PARQUET,
            description="Every event as Firehose delivered it: at least once, so sometimes twice.",
        )
        dead_letters = self._table(
            "dead_letters",
            DEAD_LETTER_COLUMNS,
            partitions={"region": deployment.region},
            root=f"s3://{buckets.dead_letter.bucket_name}/dead_letters/",
            classification="json",
            file_format=JSON_LINES,
            description="Dead letters with their reasons: at least once, and as often as they were sent.",
        )
        moved = self._table(
            "rollups",
            ROLLUP_COLUMNS,
            partitions={"resolution": "1m,1h"},
            root=f"s3://{buckets.rollups.bucket_name}/rollups/",
            classification="parquet",
            file_format=PARQUET,
            description="Rollups that are no longer in the database: each window of each metric once.",
        )
        stored = self._view(
            "stored_events",
            over=self.raw_events,
            description="Every stored copy of every event, with what its row leaves out.",
        )
        self._view("events", over=stored, description="Every event once per region and day of arrival: its first copy.")
        self.tables = {
            "raw_events": self.raw_events,
            "stored_events": stored,
            "dead_letters": dead_letters,
            "rollups": moved,
        }

    def _view(self, name: str, *, over: glue.CfnTable, description: str) -> glue.CfnTable:
        """Add a view with the columns of the raw table, as the file of its name defines it."""
        seen = COLUMNS | PARTITIONS
        view = glue.CfnTable(
            self,
            _construct_id(name),
            catalog_id=Aws.ACCOUNT_ID,
            database_name=self.database_name,
            table_input=glue.CfnTable.TableInputProperty(
                name=name,
                description=description,
                table_type="VIRTUAL_VIEW",
                parameters={"presto_view": "true", "comment": "Presto View"},
                view_original_text=_presto_view((SQL / f"{name}.sql").read_text(), self.database_name, seen),
                view_expanded_text="/* Presto View */",
                storage_descriptor=glue.CfnTable.StorageDescriptorProperty(
                    columns=_columns(seen), serde_info=glue.CfnTable.SerdeInfoProperty()
                ),
            ),
        )
        view.add_resource_dependency(over)
        return view

    def _table(
        self,
        name: str,
        columns: dict[str, str],
        *,
        partitions: dict[str, str],
        root: str,
        classification: str,
        file_format: tuple[str, str, str],
        description: str,
    ) -> glue.CfnTable:
        """Add a table over files that lie under some listed values and their day; partitions are never registered."""
        reader, writer, serializer = file_format
        projection = {
            f"projection.{key}.{what}": value
            for key, values in partitions.items()
            for what, value in (("type", "enum"), ("values", values))
        }
        place = "".join(f"{key}=${{{key}}}/" for key in (*partitions, "dt"))
        table = glue.CfnTable(
            self,
            _construct_id(name),
            catalog_id=Aws.ACCOUNT_ID,
            database_name=self.database_name,
            table_input=glue.CfnTable.TableInputProperty(
                name=name,
                description=description,
                table_type="EXTERNAL_TABLE",
                partition_keys=_columns(dict.fromkeys((*partitions, "dt"), "string")),
                parameters={
                    "EXTERNAL": "TRUE",
                    "classification": classification,
                    "projection.enabled": "true",
                    **projection,
                    "projection.dt.type": "date",
                    "projection.dt.format": "yyyy-MM-dd",
                    "projection.dt.range": f"{FIRST_DAY},NOW",
                    "storage.location.template": f"{root}{place}",
                },
                storage_descriptor=glue.CfnTable.StorageDescriptorProperty(
                    columns=_columns(columns),
                    location=root,
                    input_format=reader,
                    output_format=writer,
                    serde_info=glue.CfnTable.SerdeInfoProperty(serialization_library=serializer),
                ),
            ),
        )
        table.add_resource_dependency(self._database)
        return table
