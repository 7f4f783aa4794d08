"""The page of the admins' routes names every code that they answer with, and every role's routes."""

import ast
import re
from pathlib import Path
from typing import get_args

import yaml

from cli.control.address import Role
from infra.api.roles import AUDIT, CHANGES, ON_CALL, READS, ROUTES
from infra.stores.analyst import ANALYST
from tests.docs.test_contracts import CONTROL, codes_of

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/rooms/control.md").read_text()


def test_the_codes_are_those_of_the_source_with_their_status() -> None:
    raised = {code for path in CONTROL for code in codes_of(ast.parse(path.read_text()))}
    listed = re.findall(r"^\| `(\w+)` \| (\d{3}) \|", PAGE, re.MULTILINE)
    assert [(code, int(status)) for code, status in listed] == sorted(
        {(code, status) for _, code, status in raised}, key=lambda each: (each[1], each[0])
    )


def test_the_matrix_of_roles_is_that_of_the_templates() -> None:
    cells = r" \| (yes|no)" * 5
    rows = re.findall(rf"^\| `([\w-]+)`{cells} \|$", PAGE, re.MULTILINE)
    by_routes = {
        role: (*("yes" if set(kind) <= set(routes) else "no" for kind in (READS, AUDIT, ON_CALL, CHANGES)), "no")
        for role, routes in ROUTES.items()
    }
    assert {role: tuple(cells) for role, *cells in rows} == by_routes | {ANALYST: ("no", "no", "no", "no", "yes")}


def test_the_command_line_asks_as_every_role_with_routes() -> None:
    assert set(get_args(Role)) == set(ROUTES)


def test_the_routes_are_those_of_the_description() -> None:
    paths = yaml.safe_load((ROOT / "schemas/admin.yaml").read_text())["paths"]
    described = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    assert described == {*READS, *AUDIT, *ON_CALL, *CHANGES}
