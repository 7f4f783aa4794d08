"""The table as the Glue catalog describes it, over the Parquet that the delivery stream wrote."""

from pathlib import Path
from typing import Any

import boto3
import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
from pyarrow import fs

SQL = Path(__file__).parents[2] / "infra" / "athena"

_ARROW: dict[str, pa.DataType] = {
    "string": pa.string(),
    "int": pa.int32(),
    "bigint": pa.int64(),
    "double": pa.float64(),
    # The deserializer writes timestamps without a zone, in UTC, as Hive has them.
    "timestamp": pa.timestamp("us"),
    "array<string>": pa.list_(pa.string()),
    "map<string,double>": pa.map_(pa.string(), pa.float64()),
}


def open_store(stack: dict[str, Any]) -> duckdb.DuckDBPyConnection:
    """Open the raw store of a running stack: table raw_events and view events."""
    login = {"aws_access_key_id": stack["admin"]["access_key"], "aws_secret_access_key": stack["admin"]["secret_key"]}
    glue = boto3.client("glue", "us-east-1", endpoint_url=stack["aws"], **login)
    table = glue.get_table(DatabaseName=stack["catalog"], Name="raw_events")["Table"]
    files = fs.S3FileSystem(
        access_key=stack["admin"]["access_key"],
        secret_key=stack["admin"]["secret_key"],
        endpoint_override=stack["aws"].removeprefix("http://"),
        scheme="http",
        region="us-east-1",
    )
    location = table["StorageDescriptor"]["Location"].removeprefix("s3://").rstrip("/")
    partitions = pa.schema([(key["Name"], pa.string()) for key in table["PartitionKeys"]])
    columns = pa.schema([(column["Name"], _ARROW[column["Type"]]) for column in table["StorageDescriptor"]["Columns"]])
    # Listed through the API rather than as folders: an empty store is an empty table, not an error.
    found = files.get_file_info(fs.FileSelector(location, recursive=True, allow_not_found=True))
    dataset = ds.dataset(
        [info.path for info in found if info.type == fs.FileType.File],
        schema=pa.unify_schemas([columns, partitions]),
        filesystem=files,
        format="parquet",
        partitioning=ds.partitioning(partitions, flavor="hive"),
        partition_base_dir=location,
    )
    connection = duckdb.connect()
    connection.register("raw_events", dataset)
    connection.execute(f"CREATE VIEW events AS {(SQL / 'events.sql').read_text()}")
    return connection
