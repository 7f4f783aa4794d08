"""Query is bounded, answers before the gateway gives up, and may read and ask, but change nothing."""

import json
from dataclasses import replace

import pytest

from infra.profiles import BASELINE
from tests.infra.templates import Templates


def test_the_gateway_waits_longer_than_query_takes(templates: Templates) -> None:
    assert templates.functions()["query"].properties["Timeout"] < 30


def test_every_environment_knows_how_many_of_it_there_may_be(templates: Templates) -> None:
    query = templates.functions()["query"].properties
    told = query["Environment"]["Variables"]["QUERY_CONCURRENCY"]
    assert int(told) == query["ReservedConcurrentExecutions"]


def test_a_revoked_key_stops_reading_as_soon_as_it_stops_sending(templates: Templates) -> None:
    query, ingest = (templates.functions()[verb].properties["Environment"]["Variables"] for verb in ("query", "ingest"))
    for name in ("KEY_MEMORY_SECONDS", "KEY_CACHE_SECONDS"):
        assert query[name] == ingest[name]


def test_a_place_in_the_feed_is_believed_no_longer_than_changes_are_kept(templates: Templates) -> None:
    query, maintain = (
        templates.functions()[verb].properties["Environment"]["Variables"] for verb in ("query", "maintain")
    )
    assert query["CHANGE_HOURS"] == maintain["CHANGE_HOURS"]
    # A margin of one hour is taken off.
    assert int(query["CHANGE_HOURS"]) > 2


def test_query_may_invoke_the_two_functions_it_asks_and_no_other(templates: Templates) -> None:
    (role,) = [role for role in templates.every("AWS::IAM::Role") if role.name.startswith("QueryRole")]
    statements = [
        statement for policy in role.properties["Policies"] for statement in policy["PolicyDocument"]["Statement"]
    ]
    (invoking,) = [one for one in statements if "lambda:InvokeFunction" in one["Action"]]
    invoked = [json.dumps(resource) for resource in invoking["Resource"]]
    assert len(invoked) == 2
    assert "LookupFunction" in invoked[0]
    assert "recall" in invoked[1].lower()


def test_functions_are_reached_through_an_endpoint_that_admits_those_who_ask_one(templates: Templates) -> None:
    (door,) = [group for group in templates.every("AWS::EC2::SecurityGroup") if "LambdaDoor" in group.name]
    admitted = sorted(
        json.dumps(rule.properties["SourceSecurityGroupId"])
        for rule in templates.every("AWS::EC2::SecurityGroupIngress")
        if door.name in json.dumps(rule.properties["GroupId"])
    )
    callers = ("QuerySecurityGroup", "ReconcileSecurityGroup", "TraceSecurityGroup")
    assert len(admitted) == len(callers)
    assert all(caller in group for caller, group in zip(callers, admitted, strict=True))


def test_query_must_be_able_to_say_that_somebody_does_not_answer() -> None:
    with pytest.raises(ValueError, match="before it is stopped"):
        replace(BASELINE.query, answer_seconds=10)
    with pytest.raises(ValueError, match="lookup must give up before query does"):
        replace(BASELINE, lookup=replace(BASELINE.lookup, directory_seconds=4, compute=BASELINE.migrate))
