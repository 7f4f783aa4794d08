"""Least privilege, by the templates: each grant is used or has a reason, and sensitive ones are in the right hands."""

import os
import re
from pathlib import Path

# Before anything starts the CDK: it would validate the templates for seconds.
os.environ["CDK_VALIDATION"] = "false"

import msgspec
import pytest

from local.models.policies import allows
from local.resources.grants import SERVICES
from tests.infra.templates import Templates, synthesize
from tests.privilege.grants import Roles, read_used
from tests.privilege.matrix import MATRIX
from tests.privilege.reading import read_roles
from tests.privilege.unused import OUTSIDE, UNUSED


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    return synthesize("test", tmp_path_factory.mktemp("cdk"))


@pytest.fixture(scope="module")
def roles(templates: Templates) -> Roles:
    return read_roles(templates.files["data"].parent)


def test_every_grant_is_used_or_says_why_not(roles: Roles) -> None:
    used, reasons = read_used(), {pattern: re.compile(pattern) for pattern in UNUSED}
    left = roles.grants() - used
    unexplained = {each for each in left if not any(one.fullmatch(str(each)) for one in reasons.values())}
    assert unexplained == set(), "no test uses these: remove them, or say in unused.py who does"
    for pattern, compiled in reasons.items():
        assert any(compiled.fullmatch(str(each)) for each in left), f"nothing is left unused for {pattern}"


def test_no_grant_is_called_used_that_no_role_has(roles: Roles) -> None:
    assert read_used() - roles.grants() == set()


def test_a_used_grant_has_no_excuse() -> None:
    for each in read_used():
        assert not any(re.fullmatch(pattern, str(each)) for pattern in UNUSED), each


def test_functions_use_no_further_services(templates: Templates) -> None:
    granted = {action.partition(":")[0] for verb in templates.functions() for action in templates.granted(verb)}
    assert granted == {*SERVICES, *OUTSIDE}


@pytest.mark.parametrize(("asked", "may"), MATRIX.items(), ids=[" ".join(asked) for asked in MATRIX])
def test_sensitive_actions_are_in_the_right_hands(roles: Roles, asked: tuple[str, str], may: str) -> None:
    # A condition on what a role may is taken as met; one on what it may not, as not met.
    found = {
        verb
        for verb, statements in roles.plainly().items()
        if allows(
            [
                msgspec.structs.replace(one, conditions={})
                for one in statements
                if one.effect == "Allow" or not one.conditions
            ],
            *asked,
        )
    }
    assert found == set(may.split())


def test_the_resources_of_the_matrix_are_those_of_the_templates(roles: Roles) -> None:
    """A misspelled resource would be denied to everyone."""
    named = {each.resource.partition("/")[0].rstrip("*") for each in roles.grants()} | {"operations"}
    named |= {each.partition(":")[0] for each in named}
    for _, resource in MATRIX:
        assert resource.partition("/")[0].partition(":")[0] in named or resource == "*", resource


def test_the_used_grants_are_sorted_and_single() -> None:
    lines = Path(__file__).with_name("used.txt").read_text().splitlines()
    assert lines == sorted(set(lines))
