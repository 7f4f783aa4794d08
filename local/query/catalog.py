"""The tables as the Glue catalog describes them, over the files that the pipeline wrote."""

import gzip
import json
from datetime import datetime
from functools import reduce
from operator import and_
from pathlib import Path
from typing import Any

import boto3
import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyarrow import fs

#: A column of every table that only those rows have who ask for it by name: in Athena it is hidden, and so it is here.
PATH = "$path"

#: What was read of files, by path and size: one that is written again has another size, or the same content.
Kept = dict[tuple[str, int], ds.Fragment]

SQL = Path(__file__).parents[2] / "infra" / "athena"

_PARQUET = ds.ParquetFileFormat()

ARROW: dict[str, pa.DataType] = {
    "string": pa.string(),
    "int": pa.int32(),
    "bigint": pa.int64(),
    "double": pa.float64(),
    # The deserializer writes timestamps without a zone, in UTC, as Hive has them.
    "timestamp": pa.timestamp("us"),
    "array<string>": pa.list_(pa.string()),
    "array<int>": pa.list_(pa.int32()),
    "array<bigint>": pa.list_(pa.int64()),
    "map<string,double>": pa.map_(pa.string(), pa.float64()),
}


def open_store(stack: dict[str, Any], sql: str, kept: Kept | None = None) -> duckdb.DuckDBPyConnection:
    """Open the stores of a running stack for a statement: the tables of the catalog that it names, and the view.

    Whoever asks again and again keeps what was read for the next time.
    """
    login = {"aws_access_key_id": stack["admin"]["access_key"], "aws_secret_access_key": stack["admin"]["secret_key"]}
    glue = boto3.client("glue", stack["region"], endpoint_url=stack["aws"], **login)
    files = fs.S3FileSystem(
        access_key=stack["admin"]["access_key"],
        secret_key=stack["admin"]["secret_key"],
        endpoint_override=stack["aws"].removeprefix("http://"),
        scheme="http",
        region=stack["region"],
    )
    connection = duckdb.connect()
    for table in glue.get_tables(DatabaseName=stack["catalog"])["TableList"]:
        # The view is over raw_events; any other table is read only when it is asked for.
        if table["TableType"] == "EXTERNAL_TABLE" and (table["Name"] == "raw_events" or table["Name"] in sql):
            connection.register(table["Name"], read_table(table, files, kept, with_path=PATH in sql))
    connection.execute(f"CREATE VIEW events AS {(SQL / 'events.sql').read_text()}")
    return connection


def read_table(
    table: dict[str, Any], files: fs.FileSystem, kept: Kept | None, *, with_path: bool
) -> ds.FileSystemDataset:
    storage = table["StorageDescriptor"]
    location = storage["Location"].removeprefix("s3://").rstrip("/")
    columns = pa.schema([(column["Name"], ARROW[column["Type"]]) for column in storage["Columns"]])
    keys = [key["Name"] for key in table["PartitionKeys"]]
    partitions = pa.schema([(key["Name"], ARROW[key["Type"]]) for key in table["PartitionKeys"]])
    # Listed through the API rather than as folders: an empty store is an empty table, not an error.
    found = files.get_file_info(fs.FileSelector(location, recursive=True, allow_not_found=True))
    fragments = {} if kept is None else kept
    present = [(info.path, info.size) for info in found if info.type == fs.FileType.File]
    for path, size in present:
        if (path, size) not in fragments:
            source: tuple[Any, ...] = (path, files)
            if table["Parameters"]["classification"] == "json":
                source = (pa.BufferReader(_write_parquet(files.open_input_file(path).read(), columns)),)
            elif kept is not None:
                source = (pa.BufferReader(files.open_input_file(path).read()),)
            fragments[path, size] = _PARQUET.make_fragment(*source, partition_expression=_place(path, keys))
    schema = pa.unify_schemas([columns, partitions, pa.schema({PATH: pa.string()} if with_path else {})])
    return ds.FileSystemDataset([fragments[file] for file in present], schema, _PARQUET, files)


def _place(path: str, keys: list[str]) -> ds.Expression:
    """What a path says is true of all rows in its file: conditions on it leave files unread."""
    place = dict(part.split("=", 1) for part in path.split("/") if "=" in part)
    return reduce(and_, (ds.field(name) == place[name] for name in keys), ds.field(PATH) == f"s3://{path}")


def _write_parquet(packed: bytes, columns: pa.Schema) -> pa.Buffer:
    """Read gzipped JSON lines as the table's deserializer does: unknown members left out, missing ones null."""
    rows = [_read_row(json.loads(line), columns) for line in gzip.decompress(packed).splitlines()]
    content = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, schema=columns), content)
    return content.getvalue()


def _read_row(line: dict[str, Any], columns: pa.Schema) -> dict[str, Any]:
    times = {column.name for column in columns if pa.types.is_timestamp(column.type)}
    return line | {name: datetime.fromisoformat(line[name]) for name in times if line.get(name) is not None}
