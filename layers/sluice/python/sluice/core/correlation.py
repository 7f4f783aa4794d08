"""The id of a request, carried by the places that docs/contracts.md lists."""

import re

_CORRELATION_ID = re.compile(r"[0-9A-Za-z._:=/+-]{1,64}")


def is_correlation_id(text: str) -> bool:
    """Return whether a text can be one: it can forge no log line and no header, and end no comment in SQL."""
    return _CORRELATION_ID.fullmatch(text) is not None


def write_comment(correlation_id: str) -> str:
    """Write the comment that begins a statement, or nothing if the text is no correlation id."""
    return f"/* correlation_id={correlation_id} */ " if is_correlation_id(correlation_id) else ""
