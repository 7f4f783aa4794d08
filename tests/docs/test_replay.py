"""The page of replays has every code and state, and the admin API describes a plan as the code makes it."""

import ast
import re
from pathlib import Path
from typing import Any

import msgspec
import yaml

from sluice.core.replay import plan
from sluice.edge.control.replays import OVER
from sluice.edge.replay.planning import MOST_EVENTS
from sluice.edge.replay.tables import ACTIVE
from tests.docs.test_contracts import REPLAY, codes_of, literal, name_of

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/replay.md").read_text()
SCHEMAS: dict[str, Any] = yaml.safe_load((ROOT / "schemas/admin.yaml").read_text())["components"]["schemas"]
REFUSED_PLAN = 409
"""The status of a plan that cannot be applied."""


def first_cells(heading: str) -> list[str]:
    """The names in the first column of the one table below a heading."""
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return re.findall(r"^\| `([\w-]+)` \|", section, re.MULTILINE)


def refused_plans() -> set[str]:
    """The codes with which a plan is refused when it is applied, or by a step; besides those of planning."""
    calls = [node for path in REPLAY for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    return {literal(call.args[0]) for call in calls if name_of(call.func) == "PlanRefusedError"} - {""}


def test_the_codes_are_those_of_the_source_with_their_status() -> None:
    refused = {(each.code, each.status) for path in REPLAY for each in codes_of(ast.parse(path.read_text()))}
    expected = refused | {(code, REFUSED_PLAN) for code in refused_plans()}
    listed = re.findall(r"^\| `(\w+)` \| (\d{3}) \|", PAGE, re.MULTILINE)
    assert [(code, int(status)) for code, status in listed] == sorted(expected, key=lambda each: (each[1], each[0]))


def test_the_states_are_those_of_the_source_and_of_the_admin_api() -> None:
    described = SCHEMAS["Replay"]["properties"]["state"]["enum"]
    assert set(first_cells("Apply, watch, cancel, resume")) == {*ACTIVE, *OVER} == set(described)


def test_the_bounds_are_those_of_the_code() -> None:
    assert (
        f"{MOST_EVENTS // 1_000_000} million events, {plan.MOST_HOURS // 24} days, {plan.MOST_DEVICES:,} devices a plan"
        in PAGE
    )
    assert f"A plan is valid for {plan.VALID // plan.HOUR} hours" in PAGE


def members(kind: type[msgspec.Struct]) -> list[str]:
    """The members of a struct, as JSON names them."""
    return [field.encode_name for field in msgspec.structs.fields(kind)]


def test_the_admin_api_describes_a_plan_as_the_code_makes_it() -> None:
    described = SCHEMAS["ReplayPlan"]["properties"]
    assert list(described) == SCHEMAS["ReplayPlan"]["required"] == members(plan.Plan)
    assert list(SCHEMAS["WantedReplay"]["properties"]) == members(plan.Wanted)
    assert list(SCHEMAS["Hours"]["properties"]) == members(plan.Span)
    assert list(described["files"]["properties"]) == described["files"]["required"] == members(plan.Files)
    expected, known = described["expected"], members(plan.Expected)
    assert list(expected["properties"]) == known
    # Plans of earlier releases lack the others.
    assert expected["required"] == known[: known.index("seconds") + 1]
