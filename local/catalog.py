"""The tables as the Glue catalog describes them, over the files that the pipeline wrote."""

import gzip
import json
from datetime import datetime
from functools import reduce
from operator import and_
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyarrow import fs

from local.models.aws_client import aws_client

#: A column of every table that only those rows have who ask for it by name: in Athena it is hidden, and so it is here.
PATH = "$path"

SQL = Path(__file__).parents[1] / "infra" / "athena"

#: Each may read those before it.
VIEWS = ("stored_events", "events")

#: What was read of files, by their path, size and time of change.
Kept = dict[tuple[str, int, int], ds.Fragment]

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


class Store:
    """The stores of a running stack. What was read of their files is kept for the next statement."""

    def __init__(self, aws: str, region: str) -> None:
        self._glue = aws_client("glue", aws, region)
        self._files = fs.S3FileSystem(
            access_key="local",
            secret_key="local",  # noqa: S106
            endpoint_override=aws.removeprefix("http://"),
            scheme="http",
            region=region,
        )
        self._kept: Kept = {}

    def open(self, database: str, sql: str) -> duckdb.DuckDBPyConnection:
        """Open the stores for a statement: the tables of the catalog that it names, and the views."""
        connection = duckdb.connect()
        for table in self._glue.get_tables(DatabaseName=database)["TableList"]:
            # The views are over raw_events; any other table is read only when it is asked for.
            if table["TableType"] == "EXTERNAL_TABLE" and (table["Name"] == "raw_events" or table["Name"] in sql):
                found = read_table(table, self._files, self._kept, with_path=PATH in sql)
                connection.register(table["Name"], found)
        for view in VIEWS:
            connection.execute(f"CREATE VIEW {view} AS {(SQL / f'{view}.sql').read_text()}")
        return connection


def read_table(table: dict[str, Any], files: fs.FileSystem, kept: Kept, *, with_path: bool) -> ds.FileSystemDataset:
    """Read what lies where a table is, as the catalog describes it; what is kept is not read again."""
    storage = table["StorageDescriptor"]
    location = storage["Location"].removeprefix("s3://").rstrip("/")
    columns = pa.schema([(column["Name"], ARROW[column["Type"]]) for column in storage["Columns"]])
    keys = pa.schema([(key["Name"], ARROW[key["Type"]]) for key in table["PartitionKeys"]])
    # Listed through the API rather than as folders: an empty store is an empty table, not an error.
    found = files.get_file_info(fs.FileSelector(location, recursive=True, allow_not_found=True))
    present = [(info.path, info.size, info.mtime_ns) for info in found if info.type == fs.FileType.File]
    for file in present:
        if file not in kept:
            content = files.open_input_file(file[0]).read()
            is_json = table["Parameters"]["classification"] == "json"
            parquet = _write_parquet(content, columns) if is_json else content
            kept[file] = _fragment(parquet, _place(file[0], keys.names))
    schema = pa.unify_schemas([columns, keys, pa.schema({PATH: pa.string()} if with_path else {})])
    return ds.FileSystemDataset([kept[file] for file in present], schema, _PARQUET, files)


def _fragment(parquet: bytes | pa.Buffer, place: ds.Expression) -> ds.Fragment:
    return _PARQUET.make_fragment(pa.BufferReader(parquet), partition_expression=place)


def _place(path: str, keys: list[str]) -> ds.Expression:
    """What a path says is true of all rows in its file: conditions on it leave files out."""
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
