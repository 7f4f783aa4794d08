"""Delivers a buffer: rows as one Parquet object, records that cannot be read as Firehose's error output.

Both objects are named by the buffer and its first record, so that delivering a buffer again changes nothing.
"""

import base64
import io
import re
import time
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq

from local.models import spool
from local.models.config import StreamConfig
from local.models.conversion import Conversion, Malformed

_EXPRESSION = re.compile(r"!\{(\w+):([^}]*)\}")
_JAVA_TIME = {"yyyy": "%Y", "MM": "%m", "dd": "%d", "HH": "%H", "mm": "%M", "ss": "%S"}
_JAVA_TOKEN = re.compile(r"'([^']*)'|([A-Za-z]+)|([^A-Za-z']+)")

ROWS_PER_GROUP = 20_000
FAILED_CONVERSION = "format-conversion-failed"


def java_time(pattern: str, moment: datetime) -> str:
    """A moment by a Java date pattern, as far as prefixes use them."""

    def replaced(match: re.Match[str]) -> str:
        literal, letters, other = match.groups()
        if letters is None:
            return literal if literal is not None else other
        if letters not in _JAVA_TIME:
            raise ValueError(f"the model does not know the date pattern {letters}")
        return moment.strftime(_JAVA_TIME[letters])

    return _JAVA_TOKEN.sub(replaced, pattern)


def prefix(expression: str, arrived: float, identity: str, error_type: str = "") -> str:
    """A prefix with its expressions evaluated: the time is that of the buffer's first record, in UTC."""
    moment = datetime.fromtimestamp(arrived, UTC)

    def replaced(match: re.Match[str]) -> str:
        match match.groups():
            case "timestamp", pattern:
                return java_time(pattern, moment)
            case "firehose", "error-output-type" if error_type:
                return error_type
            case "firehose", "random-string":
                return identity.replace("-", "")[:11]
            case _:
                raise ValueError(f"the model does not know {match.group()} in {expression}")

    return _EXPRESSION.sub(replaced, expression)


class Delivery:
    """Converts and uploads the buffers of one stream."""

    def __init__(self, stream: StreamConfig, region: str, s3: Any, clock: Callable[[], float] = time.time) -> None:
        self._stream = stream
        self._region = region
        self._s3 = s3
        self._clock = clock
        self._conversion = Conversion(stream.columns)
        self.unreadable_share = 0.0
        """How much of what is delivered cannot be converted, on a test's request."""
        # Prefixes that cannot be evaluated are found out at the start, not with the first event.
        prefix(stream.prefix, 0.0, "")
        prefix(stream.error_prefix, 0.0, "", FAILED_CONVERSION)

    def deliver(self, path: Path) -> None:
        """Writes the buffer's objects; after any failure, a retry is right."""
        parquet = io.BytesIO()
        writer: Any = None
        rows: list[Any] = []
        errors: list[bytes] = []
        first: float | None = None
        for number, record in enumerate(spool.read(path)):
            first = record.arrived if first is None else first
            try:
                self._fail_on_request(record.data)
                rows.extend(self._conversion.rows(record.data))
            except Malformed as error:
                errors.append(self._error(record, number, error))
            if len(rows) >= ROWS_PER_GROUP:
                writer = self._write(writer, parquet, rows)
                rows = []
        if first is None:
            return
        if rows:
            writer = self._write(writer, parquet, rows)
        if writer is not None:
            writer.close()
            self._put(prefix(self._stream.prefix, first, path.stem), first, path, ".parquet", parquet.getvalue())
        if errors:
            errors_under = prefix(self._stream.error_prefix, first, path.stem, FAILED_CONVERSION)
            self._put(errors_under, first, path, "", b"".join(errors))

    def _write(self, writer: Any, parquet: io.BytesIO, rows: list[Any]) -> Any:
        if writer is None:
            writer = pq.ParquetWriter(parquet, self._conversion.schema, compression=self._stream.compression)
        writer.write_table(self._conversion.table(rows))
        return writer

    def _put(self, under: str, first: float, path: Path, suffix: str, content: bytes) -> None:
        moment = datetime.fromtimestamp(first, UTC)
        name = f"{self._stream.name}-1-{moment:%Y-%m-%d-%H-%M-%S}-{path.stem}{suffix}"
        self._s3.put_object(Bucket=self._stream.bucket, Key=f"{under}{name}", Body=content)

    def _fail_on_request(self, data: bytes) -> None:
        # By what is in it, so that delivering a buffer again fails the same records.
        if zlib.crc32(data) < self.unreadable_share * 2**32:
            raise Malformed("Data does not match the schema, on request.")

    def _error(self, record: spool.Buffered, number: int, error: Malformed) -> bytes:
        # The documentation has ErrorCode and ErrorMessage; these are what was seen in buckets.
        described = {
            "attemptsMade": 1,
            "arrivalTimestamp": int(record.arrived * 1000),
            "lastErrorCode": error.code,
            "lastErrorMessage": str(error),
            "attemptEndingTimestamp": int(self._clock() * 1000),
            "rawData": base64.b64encode(record.data).decode(),
            "sequenceNumber": str(number),
            "subSequenceNumber": None,
            "dataCatalogTable": {
                "catalogId": None,
                "databaseName": self._stream.database,
                "tableName": self._stream.table,
                "region": self._region,
                "versionId": "LATEST",
                "catalogArn": None,
            },
        }
        return msgspec.json.encode(described) + b"\n"
