"""A query string, read strictly: an unknown parameter is refused by name and never ignored."""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from urllib.parse import parse_qsl

from sluice.core.errors import Refusal, Rejection
from sluice.core.events.names import is_name
from sluice.core.times import parse_time

MOST_PARAMETERS = 64

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:[0-5]\d)", re.ASCII)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_WHOLE = re.compile(r"\d{1,9}", re.ASCII)
# Any window of these years can be written, rounded and compared; no device is older.
_EARLIEST, _LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


class Parameters:
    """What a request asks for, by name."""

    def __init__(self, query: str, known: Sequence[str]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in _split(query):
            if name not in known:
                listed = ", ".join(known) or "none"
                raise Refusal(
                    400, "unknown_parameter", f"{name[:64]!r} is not a parameter of this route: {listed}.", name[:64]
                )
            self._values.setdefault(name, []).append(value)

    def texts(self, name: str, most_characters: int, most: int) -> tuple[str, ...]:
        """Return every value of a parameter that may be repeated."""
        values = tuple(dict.fromkeys(self._values.get(name, ())))
        if len(values) > most:
            raise _invalid(name, f"it may occur at most {most} times")
        for value in values:
            if not is_name(value, most_characters):
                raise _invalid(
                    name, f"it is 1 to {most_characters} printable characters, without a space at either end"
                )
        return values

    def text(self, name: str, most_characters: int) -> str | None:
        """Return the one value of a parameter."""
        if len(self._values.get(name, ())) > 1:
            raise _invalid(name, "it may occur only once")
        return next(iter(self.texts(name, most_characters, 1)), None)

    def whole(self, name: str, least: int, most: int, default: int) -> int:
        """Return a whole number within its bounds."""
        given = self.text(name, 64)
        if given is None:
            return default
        if not _WHOLE.fullmatch(given) or not least <= int(given) <= most:
            raise _invalid(name, f"it must be a whole number from {least} to {most}")
        return int(given)

    def choice(self, name: str, options: Sequence[str], default: str) -> str:
        """Return one of the options."""
        given = self.text(name, 64)
        if given is not None and given not in options:
            raise _invalid(name, f"it is one of {', '.join(options)}")
        return given or default

    def moment(self, name: str, default: datetime) -> datetime:
        """Return a time."""
        given = self.text(name, 64)
        if given is None:
            return default
        # A plus that is not escaped in a URL is read as a space.
        given = given.replace(" ", "+")
        try:
            found = parse_time(given) if _TIME.fullmatch(given) else None
        except Rejection:
            found = None
        if found is None or not _EARLIEST <= found <= _LATEST:
            raise _invalid(name, "it is an ISO 8601 time with a zone, such as 2026-01-31T12:00:00Z")
        return found

    def day(self, name: str, default: date) -> date:
        """Return a day."""
        given = self.text(name, 64)
        return default if given is None else parse_day(name, given)


def parse_day(name: str, text: str) -> date:
    """Read a day from a text."""
    try:
        found = date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:
        found = None
    if found is None or not _EARLIEST.date() <= found < _LATEST.date():
        raise _invalid(name, "it is a day such as 2026-01-31")
    return found


def _split(query: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=MOST_PARAMETERS)
    except ValueError as error:
        raise Refusal(
            400, "invalid_query", f"The query string is not UTF-8 or has more than {MOST_PARAMETERS} parameters."
        ) from error


def _invalid(name: str, rule: str) -> Refusal:
    return Refusal(400, "invalid_parameter", f"{name}: {rule}.", name)
