"""The contract of alert messages: subscribers may rely on the schema, whatever alert writes."""

import json
from pathlib import Path
from typing import Any, get_args, get_type_hints

import jsonschema
import msgspec
import pytest

from sluice.core.alerts.messages import MOST_EXAMPLES, VERSION, AlertMessage, Happening
from sluice.core.alerts.silences import Silence
from sluice.core.alerts.steps import Step
from sluice.core.detect.series_rules import SEVERITIES, RuleKind
from tests.support.alerts import MINUTE, START, readings, verdict
from tests.unit.core.alerts.test_board import World

SCHEMA: dict[str, Any] = json.loads((Path(__file__).parents[2] / "schemas/alert/1.json").read_text())
CHECKER = jsonschema.Draft7Validator(SCHEMA, format_checker=jsonschema.FormatChecker())


def test_the_schema_has_the_members_of_the_message_and_no_others() -> None:
    assert set(SCHEMA["properties"]) == set(AlertMessage.__struct_fields__)
    with_default = {field.name for field in msgspec.structs.fields(AlertMessage) if not field.required}
    assert set(SCHEMA["required"]) == set(AlertMessage.__struct_fields__) - with_default | {"version"}
    assert SCHEMA["properties"]["version"]["const"] == VERSION


def test_the_schema_lists_what_a_message_may_say() -> None:
    listed = SCHEMA["properties"]
    assert listed["happening"]["enum"] == list(get_args(Happening))
    assert listed["kind"]["enum"] == list(get_args(RuleKind))
    assert listed["severity"]["enum"] == list(SEVERITIES)
    assert listed["examples"]["maxItems"] == MOST_EXAMPLES
    assert get_type_hints(AlertMessage)["value"] == float | None


def told() -> list[AlertMessage]:
    """Messages of every happening."""
    world = World(steps=(Step(after_minutes=5),))
    world.take(verdict(readings("b")))
    world.attend(START + 5 * MINUTE)
    world.incident.acknowledged_at = START + 6 * MINUTE
    world.attend(START + 7 * MINUTE)
    world.take(verdict(readings("..", 10)), now=START + 30 * MINUTE)
    world.take(verdict(readings("b", 12)), now=START + 31 * MINUTE)
    silence = Silence(silence_number=1, fleet_id="fleet-1", rule_id=None, device_id=None, until=START + MINUTE)
    silenced = World(silences=[silence])
    silenced.take(verdict(readings("b")))
    silenced.attend(START + MINUTE)
    return world.messages + silenced.messages


@pytest.mark.parametrize("message", told(), ids=lambda message: message.happening)
def test_what_alert_writes_keeps_the_contract(message: AlertMessage) -> None:
    CHECKER.validate(json.loads(msgspec.json.encode(message)))


def test_every_kind_of_message_was_looked_at() -> None:
    assert {each.happening for each in told()} == set(get_args(Happening))


def test_a_message_of_a_later_release_is_read() -> None:
    newer = json.loads(msgspec.json.encode(told()[0])) | {"added_later": True}
    assert msgspec.convert(newer, AlertMessage).at.tzinfo is not None
