"""The page of dead letters has every code, verb and state, and the admin API describes them as the code makes them."""

import ast
import re
from pathlib import Path
from typing import Any, get_args

import msgspec
import yaml

from cli.dead_letters.progress import OVER as SHOWN_AS_OVER
from sluice.core.redrive import proposing
from sluice.core.redrive.explaining import Breach
from sluice.core.redrive.fixes import MOST_VERBS, Verb
from sluice.core.redrive.groups import MOST_ATTEMPTS, GroupKey
from sluice.edge.control.redrives import LETTER_STATES, OVER, WantedRedrive
from sluice.edge.redrive.looking import LONGEST
from sluice.edge.redrive.tables import ACTIVE
from tests.docs.test_contracts import REDRIVE, codes_of

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/dead-letters.md").read_text()
SCHEMAS: dict[str, Any] = yaml.safe_load((ROOT / "schemas/admin.yaml").read_text())["components"]["schemas"]


def first_cells(heading: str) -> list[str]:
    """The names in the first column of the table below a heading."""
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return re.findall(r"^\| `([\w-]+)` \|", section, re.MULTILINE)


def members(kind: type[msgspec.Struct]) -> list[str]:
    """The members of a struct, as JSON names them."""
    return [field.encode_name for field in msgspec.structs.fields(kind)]


def test_the_codes_are_those_of_the_source_with_their_status() -> None:
    raised = {code for path in REDRIVE for code in codes_of(ast.parse(path.read_text()))}
    listed = re.findall(r"^\| `(\w+)` \| (\d{3}) \|", PAGE, re.MULTILINE)
    expected = {(code.code, code.status) for code in raised}
    assert [(code, int(status)) for code, status in listed] == sorted(expected, key=lambda each: (each[1], each[0]))


def test_the_verbs_are_those_of_the_source_with_their_members() -> None:
    verbs = {kind.__struct_config__.tag: set(members(kind)) for kind in get_args(Verb)}
    rows = re.findall(r"^\| `(\w+)` \| (`path`[^|]*) \|", PAGE, re.MULTILINE)
    assert {verb: set(re.findall(r"`(\w+)`", named)) for verb, named in rows} == verbs
    assert set(SCHEMAS["Verb"]["properties"]["verb"]["enum"]) == set(verbs)
    assert set(SCHEMAS["Verb"]["properties"]) == {"verb"}.union(*verbs.values())


def test_the_states_are_those_of_the_source_and_of_the_admin_api() -> None:
    assert first_cells("Look") == list(LETTER_STATES)
    assert first_cells("Re-drive") == [*ACTIVE, *OVER] == SCHEMAS["Redrive"]["properties"]["state"]["enum"]
    assert SCHEMAS["WholeRedrive"]["allOf"][1]["properties"]["letters"]["required"] == list(LETTER_STATES)
    assert SHOWN_AS_OVER == OVER


def test_the_bounds_are_those_of_the_code() -> None:
    assert MOST_ATTEMPTS == 5
    assert "judged five times at most" in PAGE
    assert SCHEMAS["Fix"]["maxItems"] == MOST_VERBS == 10
    assert f"up to {proposing.MOST_SAMPLES} of the group's letters" in PAGE
    assert f"over {LONGEST.days} days at most" in PAGE


def test_the_admin_api_describes_what_the_code_makes() -> None:
    assert list(SCHEMAS["WantedRedrive"]["properties"]) == members(WantedRedrive)
    assert list(SCHEMAS["Breach"]["properties"]) == members(Breach)
    assert set(members(GroupKey)) <= set(SCHEMAS["LetterGroup"]["properties"])
