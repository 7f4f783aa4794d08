"""What Slack refuses, as its documentation says: incoming webhooks, Block Kit and its limits.

`msg_blocks_too_long` is documented nowhere; others found its limit. Written from the documentation, not from our code.
"""

import re
from typing import Any

MOST_BLOCKS, MOST_SECTION, MOST_FIELDS, MOST_FIELD, MOST_HEADER = 50, 3000, 10, 2000, 150
MOST_TOTAL, MOST_TEXT = 13_200, 40_000
KNOWN = {"section", "header", "divider", "context"}
#: What Slack obeys in angle brackets: links, and dates with a text for who cannot show them.
_LINK = re.compile(r"<(?:https?://[^|<>\s]+(?:\|[^<>|]+)?|!date\^\d+\^[^|<>^]+\|[^<>|]+)>")


def find_fault(payload: Any) -> str:
    """Return Slack's word for what is wrong with a payload; nothing if it takes it."""
    if not isinstance(payload, dict) or not set(payload) <= {"text", "blocks"}:
        return "invalid_payload"
    text, blocks = payload.get("text"), payload.get("blocks", [])
    if not isinstance(text, str) or not text.strip() or len(text) > MOST_TEXT:
        return "no_text"
    if not isinstance(blocks, list) or len(blocks) > MOST_BLOCKS:
        return "invalid_blocks"
    texts = [text]
    for block in blocks:
        found = _texts_of(block)
        if found is None:
            return "invalid_blocks"
        texts += found
    if any(_obeys_too_much(each) for each in texts):
        return "unescaped_text"
    return "msg_blocks_too_long" if sum(map(len, texts[1:])) > MOST_TOTAL else ""


def _texts_of(block: Any) -> list[str] | None:
    if not isinstance(block, dict) or block.get("type") not in KNOWN:
        return None
    if block["type"] == "divider":
        return []
    if block["type"] == "section":
        fields = block.get("fields", [])
        if ("text" not in block and not fields) or len(fields) > MOST_FIELDS:
            return None
        parts = [(block["text"], MOST_SECTION)] if "text" in block else []
        parts += [(each, MOST_FIELD) for each in fields]
    elif block["type"] == "header":
        parts = [(block.get("text"), MOST_HEADER)]
    else:
        parts = [(each, MOST_FIELD) for each in block.get("elements", [])]
    found = [_text_of(part, most) for part, most in parts]
    return None if None in found else [each for each in found if each is not None]


def _text_of(part: Any, most: int) -> str | None:
    if not isinstance(part, dict) or part.get("type") not in ("mrkdwn", "plain_text"):
        return None
    text = part.get("text")
    return text if isinstance(text, str) and 1 <= len(text) <= most else None


def _obeys_too_much(text: str) -> bool:
    """Whether a text has control characters beyond links and dates: <!channel> would wake everyone."""
    rest = re.sub(r"&(?:amp|lt|gt);", "", _LINK.sub("", text))
    return any(each in rest for each in "<>&")
