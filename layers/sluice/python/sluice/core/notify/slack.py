"""A message for Slack: an incoming webhook's payload in Block Kit, within Slack's limits."""

from typing import Any

from sluice.core.alerts.messages import AlertMessage
from sluice.core.notify.wording import Wording, describe, write_minute

MOST_TEXT = 2000
"""Of any part here. All parts together stay below 13,200: beyond it, Slack answers msg_blocks_too_long."""
MOST_NOTICE = 300

SIGNS = {"critical": "🔴", "warning": "🟠", "info": "🔵"}
RESOLVED, ACKNOWLEDGED, TEST = "✅", "👀", "🔧"


def write_slack(message: AlertMessage) -> dict[str, Any]:
    """Write the payload."""
    said = describe(message)
    blocks = [
        _section(f"{_sign(message)} *{escape(said.headline, MOST_TEXT)}*"),
        _fields(
            ("Where", escape(said.where, MOST_TEXT)),
            ("Since", _write_since(message, said)),
            ("How bad", escape(said.how_bad, MOST_TEXT)),
            ("Rule", escape(f"{message.rule_id}, stage {message.stage}", MOST_TEXT)),
        ),
        _section(f"*Why*\n{escape(said.why, MOST_TEXT)}"),
        _section(f"*What to do*\n{escape(said.what_to_do, MOST_TEXT)}"),
        _section("\n".join(_write_links(said))),
    ]
    # The text alone is what a phone shows on its lock screen.
    return {"text": escape(f"{_sign(message)} {said.headline}", MOST_NOTICE), "blocks": blocks}


def escape(text: str, most: int) -> str:
    """Escape the characters that Slack obeys, within a length; a longer text ends in an ellipsis."""
    escaped = [{"&": "&amp;", "<": "&lt;", ">": "&gt;"}.get(each, each) for each in text[: most + 1]]
    if sum(map(len, escaped)) <= most:
        return "".join(escaped)
    while sum(map(len, escaped)) > most - 1:
        escaped.pop()
    return "".join(escaped) + "…"


def _sign(message: AlertMessage) -> str:
    if message.test:
        return TEST
    match message.happening:
        case "resolved":
            return RESOLVED
        case "acknowledged":
            return ACKNOWLEDGED
        case _:
            return SIGNS[message.severity]


def _write_since(message: AlertMessage, said: Wording) -> str:
    """Slack shows a time in the reader's zone, and the words behind it where it cannot."""
    if message.resolved_at is not None:
        return said.since
    seconds = int(message.opened_at.timestamp())
    local = f"<!date^{seconds}^{{date_short_pretty}}, {{time}}|{write_minute(message.opened_at)} UTC>"
    _, opened, lasted = said.since.partition(" (")
    return f"{local}{opened}{lasted}"


def _write_links(said: Wording) -> list[str]:
    lines = []
    if said.link:
        # In a link, a bar begins its text.
        lines.append(f"<{escape(said.link.replace('|', '%7C'), MOST_TEXT)}|Open the dashboard>")
    return [*lines, *(f"`{escape(command, MOST_NOTICE)}`" for command in said.commands)]


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def _fields(*named: tuple[str, str]) -> dict[str, Any]:
    fields = [{"type": "mrkdwn", "text": f"*{name}*\n{text}"} for name, text in named]
    return {"type": "section", "fields": fields}
