"""Messages about incidents, as alert writes them."""

from datetime import UTC, datetime, timedelta
from typing import Any, get_args

from hypothesis import strategies as st
from msgspec.structs import replace

from sluice.core.alerts.messages import AlertMessage, Happening
from sluice.core.detect.series_rules import RuleKind, Severity
from sluice.core.notify.destinations import Destination

OPENED_AT = datetime(2026, 11, 30, 6, 12, 40, tzinfo=UTC)

OPENED = AlertMessage(
    incident_id="4f0c2f3b9a1d5e6077c1a2b3",
    sequence=1,
    happening="opened",
    stage="prod",
    fleet_id="demo",
    rule_id="hot-bearing",
    kind="above",
    metric="bearing_temperature",
    unit="degC",
    severity="critical",
    devices=1,
    examples=("press-00017",),
    value=93.25,
    threshold=85.0,
    why="3 of the last 4 readings were above 85 degC; the latest was 93.25 degC.",
    opened_at=OPENED_AT,
    at=OPENED_AT + timedelta(seconds=20),
    read_at=OPENED_AT,
    event_id="0197-a1",
    dashboard="https://sluice.example/#fleet=demo&device=press-00017&metric=bearing_temperature&from=1796018260&to=1796020080",
    correlation_id="c-0197",
)
RESOLVED = replace(
    OPENED,
    sequence=2,
    happening="resolved",
    value=71.5,
    why="The last 3 readings were below 80 degC.",
    at=OPENED_AT + timedelta(minutes=47),
    resolved_at=OPENED_AT + timedelta(minutes=46),
    dashboard="https://sluice.example/#fleet=demo&device=press-00017&metric=bearing_temperature&from=1796018260&to=1796022820",
)


def make_message(**changes: Any) -> AlertMessage:
    """Make a message of an incident that opened."""
    return replace(OPENED, **changes)


def make_destination(destination_id: str = "ops", **changes: Any) -> Destination:
    """Make a destination: a Slack channel of every fleet, told at once."""
    known: dict[str, Any] = {
        "destination_id": destination_id,
        "version": 1,
        "fleet_id": None,
        "kind": "slack",
        "secret": f"sluice-test-destinations/{destination_id}",
    }
    return Destination(**{**known, **changes})


HOSTILE = "<!channel> <https://evil.example|click> & *bold* `code` \u202e\n" * 100
ANY_MESSAGE = st.builds(
    make_message,
    happening=st.sampled_from(get_args(Happening)),
    kind=st.sampled_from(get_args(RuleKind)),
    severity=st.sampled_from(get_args(Severity)),
    devices=st.integers(1, 50_000),
    examples=st.lists(st.text(min_size=1, max_size=128), max_size=5).map(tuple),
    metric=st.text(max_size=64),
    unit=st.text(max_size=16),
    fleet_id=st.text(min_size=1, max_size=64),
    value=st.none() | st.floats(allow_nan=False),
    threshold=st.floats(allow_nan=False, allow_infinity=False),
    why=st.text(max_size=3000) | st.just(HOSTILE),
    event_id=st.none() | st.text(max_size=128),
    dashboard=st.sampled_from(
        ["", "https://sluice.example/#a=1&b=<2>|3", "http://127.0.0.1:8080/", "javascript:alert(1)"]
    ),
    correlation_id=st.text(max_size=64),
    resolved_at=st.none() | st.just(OPENED_AT + timedelta(hours=3)),
    escalated_minutes=st.integers(0, 10_080),
)
