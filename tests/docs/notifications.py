"""The examples of docs/notify.md: what people read, written by the code that writes it to them."""

import html
import re
from pathlib import Path
from typing import Any

import msgspec

from sluice.core.notify.pagerduty import write_pagerduty
from sluice.core.notify.slack import write_slack
from tests.support.alert_messages import OPENED, RESOLVED

PAGE = Path(__file__).parents[2] / "docs" / "notify.md"
MARKER = re.compile(r"(<!-- written by tests\.docs\.pages: (\w+) (\w+) -->\n)\n*(?:(?:>|    ).*\n)*\n*")
MESSAGES = {"opened": OPENED, "resolved": RESOLVED}
ROUTING_KEY = "(the routing key)"


def write_examples(page: str) -> str:
    """Put each example behind its marker."""

    def write(found: re.Match[str]) -> str:
        marker, form, happening = found.groups()
        return f"{marker}\n{_write_example(form, happening)}\n\n"

    return MARKER.sub(write, page)


def _write_example(form: str, happening: str) -> str:
    message = MESSAGES[happening]
    if form == "slack":
        return "\n".join(f"> {line}".rstrip() for line in read_aloud(write_slack(message)).splitlines())
    event = msgspec.json.format(msgspec.json.encode(write_pagerduty(message, ROUTING_KEY)), indent=2).decode()
    return "\n".join(f"    {line}" for line in event.splitlines())


def read_aloud(payload: dict[str, Any]) -> str:
    """Write a Slack message as it is seen, in Markdown."""
    paragraphs = []
    for block in payload["blocks"]:
        texts = [block["text"]] if "text" in block else block["fields"]
        paragraphs += [_as_markdown(each["text"]) for each in texts]
    return "\n\n".join(paragraphs)


def _as_markdown(text: str) -> str:
    text = re.sub(r"<!date\^\d+\^[^|>]*\|([^>]*)>", r"\1", text)
    text = re.sub(r"<(https?://[^|>]*)\|([^>]*)>", r"[\2](\1)", text)
    text = re.sub(r"\*([^*\n]+)\*", r"**\1**", text)
    # A line's end is one there; in Markdown, a backslash makes it so.
    return html.unescape("\\\n".join(text.split("\n")))
