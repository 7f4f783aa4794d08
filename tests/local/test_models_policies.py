"""What policies allow."""

import pytest

from local.models.config import StatementConfig
from local.models.policies import allows, deciding

INVOKE = "execute-api:Invoke"
API = "arn:aws:execute-api:us-east-1:123456789012:abc/$default"


def allow(*resources: str, actions: tuple[str, ...] = (INVOKE,)) -> StatementConfig:
    return StatementConfig("Allow", list(actions), list(resources))


def deny(*resources: str, actions: tuple[str, ...] = (INVOKE,)) -> StatementConfig:
    return StatementConfig("Deny", list(actions), list(resources))


@pytest.mark.parametrize(
    ("pattern", "resource", "covered"),
    [
        (f"{API}/GET/v1/fleets", f"{API}/GET/v1/fleets", True),
        (f"{API}/GET/v1/fleets", f"{API}/GET/v1/fleets/f", False),
        (f"{API}/GET/v1/fleets", f"{API}/POST/v1/fleets", False),
        (f"{API}/GET/v1/fleets/*", f"{API}/GET/v1/fleets/f", True),
        (f"{API}/GET/v1/fleets/*", f"{API}/GET/v1/fleets/f/keys/k", True),
        (f"{API}/GET/v1/fleets/*", f"{API}/GET/v1/fleets", False),
        (f"{API}/GET/v1/fleets/*", f"{API}/GET/v1/fleets/a\nb", True),
        (f"{API}/GET/v1/fleets/*/keys", f"{API}/GET/v1/fleets/f/keys", True),
        (f"{API}/GET/v1/fleets/*/keys", f"{API}/GET/v1/fleets/f/g/keys", True),
        (f"{API}/GET/v1/fleets/*/keys", f"{API}/GET/v1/fleets/f", False),
        (f"{API}/*/v1/fleets", f"{API}/POST/v1/fleets", True),
        (f"{API}/GET/v?/fleets", f"{API}/GET/v1/fleets", True),
        (f"{API}/GET/v?/fleets", f"{API}/GET/v/fleets", False),
        (f"{API}/GET/v?/fleets", f"{API}/GET/v10/fleets", False),
        (f"{API}/GET/a.c", f"{API}/GET/abc", False),
        (f"{API}/GET/v1/fleets", f"{API}/GET/V1/fleets", False),
        (f"{API}/GET/v1/fleets", f"{API.replace('abc', 'other')}/GET/v1/fleets", False),
        ("*", f"{API}/GET/v1/fleets", True),
    ],
)
def test_a_resource_is_covered_by_its_pattern(pattern: str, resource: str, covered: bool) -> None:
    assert allows([allow(pattern)], INVOKE, resource) is covered


@pytest.mark.parametrize(
    ("action", "covered"),
    [
        ("execute-api:Invoke", True),
        ("EXECUTE-API:invoke", True),
        ("execute-api:*", True),
        ("execute-api:Inv?ke", True),
        ("*", True),
        ("execute-api:InvalidateCache", False),
        ("s3:*", False),
    ],
)
def test_an_action_is_covered_without_regard_to_case(action: str, covered: bool) -> None:
    assert allows([allow("*", actions=(action,))], INVOKE, f"{API}/GET/v1/fleets") is covered


def test_what_no_statement_names_is_denied() -> None:
    assert not allows([], INVOKE, f"{API}/GET/v1/fleets")


@pytest.mark.parametrize("reverse", [False, True])
def test_a_deny_wins_wherever_it_stands(reverse: bool) -> None:
    statements = [allow("*"), deny(f"{API}/GET/v1/fleets/*")]
    if reverse:
        statements.reverse()

    assert allows(statements, INVOKE, f"{API}/GET/v1/fleets")
    assert not allows(statements, INVOKE, f"{API}/GET/v1/fleets/f")


def test_a_deny_of_another_action_denies_nothing() -> None:
    statements = [allow("*"), deny("*", actions=("execute-api:ManageConnections",))]

    assert allows(statements, INVOKE, f"{API}/GET/v1/fleets")


@pytest.mark.parametrize(
    ("operator", "wanted", "prefix", "met"),
    [
        ("StringEquals", ["errors/"], "errors/", True),
        ("StringEquals", ["errors/"], "errors/2026", False),
        ("StringEquals", ["a", "b"], "b", True),
        ("StringEquals", ["errors/*"], "errors/2026", False),
        ("StringLike", ["errors/*"], "errors/2026", True),
        ("StringLike", ["errors/*"], "error", False),
        ("StringLike", ["errors/*"], None, False),
        ("StringEquals", ["errors/"], None, False),
    ],
)
def test_a_condition_is_met_by_any_of_its_values_and_by_no_absent_key(
    operator: str, wanted: list[str], prefix: str | None, met: bool
) -> None:
    listing = StatementConfig("Allow", ["s3:ListBucket"], ["*"], {operator: {"s3:prefix": wanted}})
    context = {} if prefix is None else {"s3:prefix": prefix}
    assert allows([listing], "s3:ListBucket", "arn:aws:s3:::b", context) is met


def test_all_conditions_have_to_be_met() -> None:
    both = {"StringEquals": {"s3:prefix": ["a"]}, "StringLike": {"s3:delimiter": ["*"]}}
    listing = StatementConfig("Allow", ["s3:ListBucket"], ["*"], both)
    assert not allows([listing], "s3:ListBucket", "arn:aws:s3:::b", {"s3:prefix": "a"})
    assert allows([listing], "s3:ListBucket", "arn:aws:s3:::b", {"s3:prefix": "a", "s3:delimiter": "/"})


def test_the_grants_that_decide_are_named_as_they_are_written() -> None:
    statements = [allow(f"{API}/GET/x", f"{API}/*"), allow("*", actions=("execute-api:*",)), allow("other")]
    assert list(deciding(statements, INVOKE, f"{API}/GET/a")) == [(INVOKE, f"{API}/*"), ("execute-api:*", "*")]


def test_one_of_several_actions_and_resources_is_enough() -> None:
    statement = allow(f"{API}/GET/a", f"{API}/GET/b", actions=("s3:GetObject", INVOKE))

    assert allows([statement], INVOKE, f"{API}/GET/b")
    assert not allows([statement], INVOKE, f"{API}/GET/c")
