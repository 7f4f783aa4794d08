"""What an attempt came to, and whether another one makes sense."""

from datetime import UTC, datetime
from typing import Literal

import msgspec

MOST_TEXT = 200
HTTP_DATE = "%a, %d %b %Y %H:%M:%S GMT"

REDIRECTS = range(300, 400)
DELIVERED = range(200, 300)
# The destination is busy or broken for now; it may take the same request later.
FOR_NOW = (408, 425, 429, *range(500, 600))
OF_THE_SECRET = (401, 403, 404, 410)
"""Answers that a new address or key may change."""


class Answer(msgspec.Struct, frozen=True):
    """What a destination answered."""

    status: int
    text: str = ""
    retry_after: str = ""


class Result(msgspec.Struct, frozen=True):
    """What became of one attempt."""

    outcome: Literal["delivered", "failed", "refused"]
    """failed: it may work later. refused: it will not, as long as nobody changes the destination."""
    detail: str = ""
    status: int | None = None
    retry_after: float | None = None
    """The seconds that the destination asked us to wait."""


def judge(answer: Answer, host: str, now: datetime) -> Result:
    """Judge an answer by its status."""
    said = f"{host} answered {answer.status}"
    if answer.status in DELIVERED:
        return Result("delivered", said, answer.status)
    if answer.status in REDIRECTS:
        return Result("refused", f"{said}: redirects are not followed", answer.status)
    if text := shorten(answer.text):
        said = f"{said}: {text}"
    if answer.status in FOR_NOW:
        return Result("failed", said, answer.status, read_retry_after(answer.retry_after, now))
    return Result("refused", said, answer.status)


def read_retry_after(text: str, now: datetime) -> float | None:
    """Read the header Retry-After: seconds, or a date; None if it is neither."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        until = datetime.strptime(text, HTTP_DATE).replace(tzinfo=UTC)
    except ValueError:
        return None
    return max(0.0, (until - now).total_seconds())


def shorten(text: str) -> str:
    """Cut a text of others, and leave out what a terminal could obey."""
    return "".join(each if each.isprintable() else " " for each in text[:MOST_TEXT]).strip()


def hide(text: str, hidden: tuple[str, ...]) -> str:
    """Replace parts of a secret that a text repeats."""
    for each in hidden:
        text = text.replace(each, "(hidden)")
    return text
