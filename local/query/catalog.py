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
from pyarrow import fs

#: A column of every table that only those rows have who ask for it by name: in Athena it is hidden, and so it is here.
PATH = "$path"

#: The content of files, by path and size.
Kept = dict[tuple[str, int], bytes]

SQL = Path(__file__).parents[2] / "infra" / "athena"

_ARROW: dict[str, pa.DataType] = {
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

    Whoever asks again and again keeps the files: one that is written again has another size, or the same content.
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
            connection.register(table["Name"], _read_table(table, files, kept, with_path=PATH in sql))
    connection.execute(f"CREATE VIEW events AS {(SQL / 'events.sql').read_text()}")
    return connection


def _read_table(
    table: dict[str, Any], files: fs.FileSystem, kept: Kept | None, *, with_path: bool
) -> ds.Dataset | pa.Table:
    storage = table["StorageDescriptor"]
    location = storage["Location"].removeprefix("s3://").rstrip("/")
    columns = pa.schema([(column["Name"], _ARROW[column["Type"]]) for column in storage["Columns"]])
    keys = {key["Name"]: _ARROW[key["Type"]] for key in table["PartitionKeys"]}
    partitions = pa.schema(keys | ({PATH: pa.string()} if with_path else {}))
    # Listed through the API rather than as folders: an empty store is an empty table, not an error.
    found = files.get_file_info(fs.FileSelector(location, recursive=True, allow_not_found=True))
    sizes = {info.path: info.size for info in found if info.type == fs.FileType.File}
    if kept is not None:
        for file in sizes.items():
            if file not in kept:
                kept[file] = files.open_input_file(file[0]).read()
    if table["Parameters"]["classification"] == "json":
        return _read_lines(sizes, columns, partitions, files, kept)
    parquet = ds.ParquetFileFormat()
    # What a path says is true of all rows in its file: conditions on it leave files unread.
    fragments = [
        parquet.make_fragment(
            *((path, files) if kept is None else (pa.BufferReader(kept[path, size]),)),
            partition_expression=_expression(_place(path), partitions),
        )
        for path, size in sizes.items()
    ]
    return ds.FileSystemDataset(fragments, pa.unify_schemas([columns, partitions]), parquet, files)


def _place(path: str) -> dict[str, str]:
    """What a path says of the rows in its file."""
    return {**dict(part.split("=", 1) for part in path.split("/") if "=" in part), PATH: f"s3://{path}"}


def _expression(place: dict[str, str], partitions: pa.Schema) -> ds.Expression:
    """The same as a condition."""
    conditions = [ds.field(name) == place[name] for name in partitions.names]
    return reduce(and_, conditions)


def _read_lines(
    sizes: dict[str, int], columns: pa.Schema, partitions: pa.Schema, files: fs.FileSystem, kept: Kept | None
) -> pa.Table:
    """Read gzipped JSON lines as the table's deserializer does: unknown members left out, missing ones null."""
    rows = []
    for path, size in sizes.items():
        place = {name: value for name, value in _place(path).items() if name in partitions.names}
        packed = files.open_input_file(path).read() if kept is None else kept[path, size]
        for line in gzip.decompress(packed).splitlines():
            row = json.loads(line)
            for column in columns:
                if pa.types.is_timestamp(column.type) and row.get(column.name) is not None:
                    row[column.name] = datetime.fromisoformat(row[column.name])
            rows.append(row | place)
    return pa.Table.from_pylist(rows, schema=pa.unify_schemas([columns, partitions]))
