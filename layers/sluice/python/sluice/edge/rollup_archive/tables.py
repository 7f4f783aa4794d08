"""Rollups as tables in memory: read from the database's COPY, in the form of the files for analysts.

The database has a row per entity and window with arrays over metrics; a file has a row per metric. All work is done by
columns: 72 million rows a day are too many to process one by one.
"""

from collections.abc import Mapping
from io import BytesIO
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from sluice.core.rollup_archive.files import Totals

# The statistics of a file, and each one's source array over metrics.
_ARRAYS = {"avg": "means", "min": "mins", "max": "maxs", "p50": "p50s", "p95": "p95s", "sum": "sums", "m2": "m2s"}
SCHEMA = pa.schema(
    [
        pa.field("fleet_id", pa.string(), nullable=False),
        pa.field("device_id", pa.string()),  # null: the fleet as a whole
        pa.field("metric", pa.string(), nullable=False),
        pa.field("unit", pa.string(), nullable=False),
        # Without a zone, in UTC, as every timestamp of the tables.
        pa.field("window_start", pa.timestamp("ms"), nullable=False),
        pa.field("count", pa.int64(), nullable=False),
        # Merging needs the last of these, the squared distances from the mean, and the digest.
        *(pa.field(name, pa.float64(), nullable=False) for name in _ARRAYS),
        pa.field("bins", pa.list_(pa.int32()), nullable=False),
        pa.field("bin_counts", pa.list_(pa.int64()), nullable=False),
    ]
)
# The columns of a copy.
COPIED = ("fleet_id", "device_id", "window_ms", "metric_keys", "counts", *_ARRAYS.values(), "bins", "bin_counts")
# A bin's key has the metric in the upper half; see the table.
_BIN_BITS = 32
_BIN_ZERO = 2**31


class NamedMetric(msgspec.Struct, frozen=True):
    """The metric behind a key."""

    name: str
    unit: str


def read_copy(data: bytes, metrics: Mapping[int, NamedMetric]) -> pa.Table:
    """Read some rows of a copy in CSV; each becomes one row per metric, in the same order."""
    copied = csv.read_csv(
        BytesIO(data),
        read_options=csv.ReadOptions(column_names=COPIED, block_size=len(data) + 1),
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            column_types={name: pa.int64() if name == "window_ms" else pa.string() for name in COPIED},
            # The database writes null as nothing and an empty text as two quotes.
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    ).combine_chunks()
    keys = _lists(copied, "metric_keys", pa.int64())
    parents = pc.list_parent_indices(keys)
    key_values = pc.list_flatten(keys).to_numpy()
    bin_offsets, bins, bin_counts = _digests(copied, parents.to_numpy(), key_values)
    names, units = _dictionaries(key_values, metrics)
    columns: dict[str, Any] = {
        "fleet_id": copied["fleet_id"].take(parents),
        "device_id": copied["device_id"].take(parents),
        "metric": names,
        "unit": units,
        "window_start": copied["window_ms"].take(parents).cast(pa.timestamp("ms")),
        "count": pc.list_flatten(_lists(copied, "counts", pa.int64())),
        **{name: pc.list_flatten(_lists(copied, source, pa.float64())) for name, source in _ARRAYS.items()},
        "bins": pa.ListArray.from_arrays(bin_offsets, bins),
        "bin_counts": pa.ListArray.from_arrays(bin_offsets, bin_counts),
    }
    return pa.table([columns[field.name] for field in SCHEMA], schema=SCHEMA)


def total(table: pa.Table) -> dict[str, Totals]:
    """Add up a table, by metric."""
    events = pc.list_parent_indices(table["bin_counts"].combine_chunks())
    binned = np.bincount(
        events.to_numpy(), weights=pc.list_flatten(table["bin_counts"]).to_numpy(), minlength=table.num_rows
    )
    found = (
        table.select(["metric", "count", "sum", "min", "max", "m2"])
        .append_column("binned", pa.array(binned.astype(np.int64)))
        .group_by("metric")
        .aggregate(
            [
                *(("count", "count"), ("count", "sum"), ("sum", "sum"), ("min", "min"), ("max", "max")),
                *(("m2", "sum"), ("binned", "sum")),
            ]
        )
    )
    names = ("count_count", "count_sum", "sum_sum", "min_min", "max_max", "m2_sum", "binned_sum")
    return {row["metric"]: Totals(*(row[name] for name in names)) for row in found.to_pylist()}


def _lists(copied: pa.Table, name: str, kind: pa.DataType) -> pa.ListArray:
    """Read a column of arrays in the database's form: {1,2,3}."""
    inside = pc.utf8_slice_codeunits(copied[name].chunk(0), 1, -1)
    # The empty array has no element, not even an empty one.
    filled = pc.if_else(pc.equal(inside, ""), pa.scalar(None, pa.string()), inside)
    return pc.split_pattern(filled, ",").cast(pa.list_(kind))


def _digests(copied: pa.Table, rows: Any, keys: Any) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Give every metric its own bins; both are sorted by row and metric, so one pass merges them."""
    lists = _lists(copied, "bins", pa.int64())
    packed = pc.list_flatten(lists).to_numpy()
    owners = (pc.list_parent_indices(lists).to_numpy() << 16) + (packed >> _BIN_BITS)
    offsets = np.searchsorted(owners, (rows << 16) + keys).astype(np.int32)
    bins = (packed & (2**_BIN_BITS - 1)) - _BIN_ZERO
    counts = pc.list_flatten(_lists(copied, "bin_counts", pa.int64()))
    return pa.array(np.append(offsets, np.int32(len(packed)))), pa.array(bins.astype(np.int32)), counts


def _dictionaries(keys: Any, metrics: Mapping[int, NamedMetric]) -> tuple[pa.Array, pa.Array]:
    known, places = np.unique(keys, return_inverse=True)
    indices = pa.array(places)
    return (
        pa.array([metrics[key].name for key in known.tolist()], pa.string()).take(indices),
        pa.array([metrics[key].unit for key in known.tolist()], pa.string()).take(indices),
    )
