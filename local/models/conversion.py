"""JSON to Parquet by the columns of a Glue table, as the OpenX deserializer reads it.

Keys without a column are dropped, columns without a key are null. Numbers in text are numbers; a number, a boolean or a
nested value in a text column becomes its JSON text. Timestamps are ISO 8601 text or epoch seconds or milliseconds, and
are stored as UTC. A record that is empty, that is not a row of JSON objects, or that holds a value which cannot be made
one of its column's type (text that is no number, a number too large, an array for a map) fails as a whole. Which values
those are is seen in what others met, not documented.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import pyarrow as pa

from local.models.config import ColumnConfig

_WHITESPACE = " \t\r\n"
_MILLISECONDS_FROM = 10**11  # as seconds this would be the year 5138


class Malformed(Exception):
    """A record that cannot be made rows of the table."""

    code = "DataFormatConversion.MalformedData"


class NoJson(Malformed):
    """A record that is not even JSON."""

    code = "DataFormatConversion.ParseError"


def _mismatch(value: Any) -> Malformed:
    return Malformed(f"Data does not match the schema. It has a {type(value).__name__} where another type is expected.")


class _Type:
    """One Glue type: what it is in Arrow, what decodes it at once, and what makes the best of anything else."""

    def __init__(self, arrow: Any, strict: Any, coerce: Callable[[Any], Any], prepare: Callable[[Any], Any]) -> None:
        self.arrow = arrow
        self.strict = strict
        self.coerce = coerce
        self.prepare = prepare


def _unchanged(value: Any) -> Any:
    return value


def _integer(bits: int) -> _Type:
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1

    def coerce(value: Any) -> int:
        try:
            number = int(value) if not isinstance(value, str) else int(value.strip())
        except (TypeError, ValueError, OverflowError) as error:
            raise _mismatch(value) from error
        if not low <= number <= high:
            raise _mismatch(value)
        return number

    strict = Annotated[int, msgspec.Meta(ge=low, le=high)]
    arrow = {8: pa.int8(), 16: pa.int16(), 32: pa.int32(), 64: pa.int64()}[bits]
    return _Type(arrow, strict, coerce, _unchanged)


def _to_float(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise _mismatch(value) from error


def _to_text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    # Half of a surrogate pair can be written in JSON and not in UTF-8; Java makes it a question mark.
    return text.encode("utf-8", "replace").decode()


def _to_boolean(value: Any) -> bool | None:
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.lower())
    return value if isinstance(value, bool) else None


def _to_timestamp(value: Any) -> datetime:
    try:
        if isinstance(value, str):
            return datetime.fromisoformat(value.strip())
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value / 1000 if abs(value) >= _MILLISECONDS_FROM else value, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    raise _mismatch(value)


def _as_utc(value: datetime | None) -> datetime | None:
    """Tables have no zones: all times are UTC."""
    if value is None or value.tzinfo is None:
        return value
    try:
        return value.astimezone(UTC).replace(tzinfo=None)
    except OverflowError:
        return None


def _array(item: _Type) -> _Type:
    def coerce(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise _mismatch(value)
        return [None if each is None else item.coerce(each) for each in value]

    def prepare(value: Any) -> Any:
        return None if value is None else [item.prepare(each) for each in value]

    return _Type(pa.list_(item.arrow), list[item.strict | None], coerce, prepare)  # type: ignore[name-defined]


def _map(item: _Type) -> _Type:
    def coerce(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise _mismatch(value)
        return {_to_text(name): None if each is None else item.coerce(each) for name, each in value.items()}

    def prepare(value: Any) -> Any:
        return None if value is None else [(name, item.prepare(each)) for name, each in value.items()]

    return _Type(pa.map_(pa.string(), item.arrow), dict[str, item.strict | None], coerce, prepare)  # type: ignore[name-defined]


_TYPES = {
    "string": _Type(pa.string(), str, _to_text, _unchanged),
    "tinyint": _integer(8),
    "smallint": _integer(16),
    "int": _integer(32),
    "bigint": _integer(64),
    "float": _Type(pa.float32(), float, _to_float, _unchanged),
    "double": _Type(pa.float64(), float, _to_float, _unchanged),
    "boolean": _Type(pa.bool_(), bool, _to_boolean, _unchanged),
    "timestamp": _Type(pa.timestamp("us"), datetime, _to_timestamp, _as_utc),
}


def _type(glue: str) -> _Type:
    written = glue.replace(" ", "").lower()
    if written in _TYPES:
        return _TYPES[written]
    if written.startswith("array<") and written.endswith(">"):
        return _array(_type(written[6:-1]))
    if written.startswith("map<string,") and written.endswith(">"):
        return _map(_type(written[11:-1]))
    raise ValueError(f"the model does not know the column type {glue}")


class Conversion:
    """Makes rows of one table out of records."""

    def __init__(self, columns: Sequence[ColumnConfig]) -> None:
        self._columns = [(column.name, _type(column.type)) for column in columns]
        fields = [(name, kind.strict | None, None) for name, kind in self._columns]
        self._row = msgspec.defstruct("Row", fields)
        self._lines = msgspec.json.Decoder(self._row)
        self.schema = pa.schema([(name, kind.arrow) for name, kind in self._columns])

    def rows(self, data: bytes) -> list[Any]:
        """The rows of one record: JSON objects, one after the other, with or without line ends between."""
        if not data.strip():
            raise Malformed("The record was empty or contained only whitespace.")
        try:
            return list(self._lines.decode_lines(data))
        except (msgspec.DecodeError, UnicodeDecodeError):
            # Objects without line ends, values of other types, or no JSON at all: the slow reader tells.
            return [self._coerced(found) for found in _objects(data)]

    def table(self, rows: Sequence[Any]) -> Any:
        """Rows as an Arrow table of the columns' types."""
        arrays = [
            pa.array([kind.prepare(getattr(row, name)) for row in rows], type=kind.arrow)
            for name, kind in self._columns
        ]
        return pa.Table.from_arrays(arrays, schema=self.schema)

    def _coerced(self, found: dict[str, Any]) -> Any:
        return self._row(
            **{name: kind.coerce(found[name]) for name, kind in self._columns if found.get(name) is not None}
        )


def _objects(data: bytes) -> Iterator[dict[str, Any]]:
    """Every JSON object of a record, or Malformed."""
    try:
        text = data.decode()
        position, decoder = 0, json.JSONDecoder(parse_constant=_refuse)
        while True:
            while position < len(text) and text[position] in _WHITESPACE:
                position += 1
            if position == len(text):
                return
            found, position = decoder.raw_decode(text, position)
            if not isinstance(found, dict):
                raise Malformed(f"The top level must be an object, not a {type(found).__name__}.")
            yield found
    except (ValueError, RecursionError) as error:
        raise NoJson(f"Encountered malformed JSON. {error}") from error


def _refuse(constant: str) -> Any:
    raise NoJson(f"Encountered malformed JSON. {constant} is none.")
