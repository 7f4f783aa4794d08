"""Roles of people: exactly the routes of the table, and for analysts exactly the lake."""

import json
import re
from collections.abc import Iterator
from typing import Any

from infra.api.roles import AUDIT, CHANGES, ON_CALL, READS, ROUTES, VERIFIERS
from infra.stores.analyst import ANALYST
from tests.infra.templates import Resource, Templates, listed

INVOKE = "execute-api:Invoke"
DOWNLOADS = {"kms:GetPublicKey", "s3:GetObjectVersion", "s3:ListBucketVersions", "kms:Decrypt"}
"""What tests/infra/test_checkpoint.py looks at more closely."""
TRAIL = {
    "cloudtrail:DescribeTrails",
    "cloudtrail:ListPublicKeys",
    "s3:GetBucketLocation",
    "s3:GetObject",
    "s3:ListBucket",
}
TABLES = ["dead_letters", "events", "raw_events", "rollups", "stored_events"]


def people(templates: Templates) -> dict[str, Resource]:
    """The roles with a name of ours, by what it says."""
    return {
        role.properties["RoleName"].removeprefix("sluice-proof-"): role
        for role in templates.every("AWS::IAM::Role")
        if "RoleName" in role.properties
    }


def statements(role: Resource) -> list[dict[str, Any]]:
    return [statement for policy in role.properties["Policies"] for statement in policy["PolicyDocument"]["Statement"]]


def grants(role: Resource) -> Iterator[tuple[str, str]]:
    """Every action of a role with every resource, as text."""
    for statement in statements(role):
        assert statement["Effect"] == "Allow"
        for action in listed(statement["Action"]):
            for resource in listed(statement["Resource"]):
                yield action, _write_arn(resource)


def _write_arn(resource: Any) -> str:
    if isinstance(resource, str):
        return resource
    if "Fn::Join" in resource:
        return "".join(part if isinstance(part, str) else _write_arn(part) for part in resource["Fn::Join"][1])
    (named,) = resource.values()
    return f"<{named[0] if isinstance(named, list) else named}>"


def test_the_matrix_of_roles_and_routes_is_the_table(templates: Templates) -> None:
    found = people(templates)
    assert set(found) == {*ROUTES, ANALYST}
    every = (*READS, *AUDIT, *ON_CALL, *CHANGES)
    matrix = {
        name: [route for route in every if re.sub(r"{\w+}", "*", route).replace(" /", "/") in _routes_of(role)]
        for name, role in found.items()
    }
    assert matrix == {name: list(routes) for name, routes in ROUTES.items()} | {ANALYST: []}
    for name, role in found.items():
        assert len(_routes_of(role)) == len(matrix[name]), "a route that the table does not have"


def _routes_of(role: Resource) -> set[str]:
    return {place.partition("/$default/")[2] for action, place in grants(role) if action == INVOKE}


def test_a_role_with_routes_may_do_nothing_else(templates: Templates) -> None:
    for name, role in people(templates).items():
        if name != ANALYST:
            further = DOWNLOADS | (TRAIL if templates.profile.keeps_data else set()) if name in VERIFIERS else set()
            assert {action for action, _ in grants(role)} == {INVOKE, *further}, name


def test_an_auditor_reads_of_all_buckets_the_trail_alone(templates: Templates) -> None:
    for name in VERIFIERS:
        places = {
            place for action, place in grants(people(templates)[name]) if action in ("s3:GetObject", "s3:ListBucket")
        }
        shortened = {re.sub(r"<.*LakeTrailBucket.*>", "Trail", place) for place in places}
        assert shortened == ({"Trail", "Trail/AWSLogs/*"} if templates.profile.keeps_data else set())


def test_an_auditor_decrypts_a_file_of_the_trail_under_whichever_name_it_was_encrypted(templates: Templates) -> None:
    for name in VERIFIERS:
        conditions = [each["Condition"] for each in statements(people(templates)[name]) if _decrypts_of_the_trail(each)]
        assert len(conditions) == templates.profile.keeps_data
        for condition in conditions:
            assert set(condition) == {"StringEquals", "StringLike"}
            assert set(condition["StringEquals"]) == {"kms:ViaService"}
            ((context, arns),) = condition["StringLike"].items()
            assert context == "kms:EncryptionContext:aws:s3:arn"
            shortened = [re.sub(r"<.*LakeTrailBucket.*>", "Trail", _write_arn(arn)) for arn in arns]
            assert shortened == ["Trail", "Trail/AWSLogs/*"]


def _decrypts_of_the_trail(statement: dict[str, Any]) -> bool:
    return statement["Action"] == "kms:Decrypt" and "LakeTrailBucket" in json.dumps(statement["Condition"])


def test_people_of_the_account_assume_the_roles_and_no_service_does(templates: Templates) -> None:
    for name, role in people(templates).items():
        (trust,) = role.properties["AssumeRolePolicyDocument"]["Statement"]
        assert trust["Action"] == "sts:AssumeRole", name
        assert set(trust["Principal"]) == {"AWS"}, name
        assert ":root" in json.dumps(trust["Principal"]), name


def test_an_analyst_sees_exactly_these_tables_and_views(templates: Templates) -> None:
    glue = [grant for grant in grants(people(templates)[ANALYST]) if grant[0].startswith("glue:")]
    assert {action for action, _ in glue} == {"glue:GetDatabase", "glue:GetTable"}
    seen = sorted({place.rpartition(":")[2] for _, place in glue})
    assert seen == ["catalog", "database/sluice_proof", *(f"table/sluice_proof/{table}" for table in TABLES)]
    named = (table.properties["TableInput"]["Name"] for table in templates.every("AWS::Glue::Table"))
    assert sorted(named) == TABLES


def test_an_analyst_asks_one_workgroup(templates: Templates) -> None:
    athena = [grant for grant in grants(people(templates)[ANALYST]) if grant[0].startswith("athena:")]
    assert {place.rpartition(":")[2] for _, place in athena} == {"workgroup/sluice-proof-analysts"}
    assert {action.partition(":")[2] for action, _ in athena} == {
        *("StartQueryExecution", "StopQueryExecution", "GetQueryExecution", "GetQueryResults"),
        *("GetWorkGroup", "ListQueryExecutions", "BatchGetQueryExecution"),
        *("ListNamedQueries", "GetNamedQuery", "BatchGetNamedQuery"),
    }


def test_an_analyst_reads_the_files_of_these_tables_and_writes_results_alone(templates: Templates) -> None:
    role = people(templates)[ANALYST]
    places: dict[str, set[str]] = {}
    for action, place in grants(role):
        places.setdefault(action, set()).add(re.sub(r"<LakeBuckets(\w+?)[0-9A-F]{8}>", r"\1", place))
    roots = {
        re.sub(r"<LakeBuckets(\w+?)[0-9A-F]{8}>", r"\1", _write_arn(storage["Location"])).removeprefix("s3://")
        for table in templates.every("AWS::Glue::Table")
        if (storage := table.properties["TableInput"]["StorageDescriptor"]).get("Location")
    }
    assert roots == {"Raw/raw/", "DeadLetter/dead_letters/", "Rollups/rollups/"}
    assert places["s3:GetObject"] == {*(f"{root}*" for root in roots), "QueryResults/*"}
    assert places["s3:PutObject"] == {"QueryResults/*"}
    assert not {action for action in places if "Delete" in action}
    for statement in statements(role):
        if "s3:ListBucket" in listed(statement["Action"]):
            (bucket,) = (re.sub(r"[0-9A-F]{8}>$", "", _write_arn(each)) for each in listed(statement["Resource"]))
            below = statement.get("Condition", {}).get("StringLike", {}).get("s3:prefix")
            (root,) = [root for root in (*roots, "QueryResults/") if bucket.endswith(root.partition("/")[0])]
            assert listed(below) == ([None] if root == "QueryResults/" else [f"{root.partition('/')[2]}*"])


def test_an_analyst_uses_the_key_through_s3_alone(templates: Templates) -> None:
    (kms,) = [one for one in statements(people(templates)[ANALYST]) if "kms:Decrypt" in listed(one["Action"])]
    assert set(listed(kms["Action"])) == {"kms:Decrypt", "kms:GenerateDataKey"}
    assert kms["Condition"] == {"StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}}
    assert re.fullmatch(r"<Key[0-9A-F]{8}>", _write_arn(kms["Resource"])), "the key of data at rest"


def test_an_analyst_has_no_wildcard_but_for_objects_below_a_prefix(templates: Templates) -> None:
    for action, place in grants(people(templates)[ANALYST]):
        assert "*" not in action
        if "*" in place:
            assert action.startswith("s3:"), action
            assert re.fullmatch(r"<LakeBuckets\w+>/(\w+/)?\*", place), place
