"""The client of the admin API signs, repeats what is safe to repeat, and says what to do when that does not help."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.credentials import Credentials, ReadOnlyCredentials
from botocore.exceptions import ClientError

from cli.control.address import find_api
from cli.control.client import Client
from cli.stages import CommandError, Target
from tests.cli.conftest import Run
from tests.support import admin_documents as documents
from tests.support.played_admin import SECRET_KEY, PlayedAdmin


def test_every_request_is_signed_with_its_path_query_and_body(api: PlayedAdmin, run: Run) -> None:
    api.then(200, documents.page([documents.fleet("a")], "a+b/c=~ d")).then(200, documents.page([documents.fleet("b")]))
    api.then(201, documents.fleet("c"))
    assert run("fleet", "list") == 0
    assert run("fleet", "create", "c") == 0
    assert [request.is_signed() for request in api.requests] == [True, True, True]
    assert not api.requests[0].is_signed("another secret")
    assert api.requests[1].query == {"limit": "1000", "cursor": "a+b/c=~ d"}
    signed = api.requests[2].headers["authorization"]
    assert "content-type;host;idempotency-key;x-amz-date" in signed


def test_the_token_of_an_assumed_role_is_sent_and_signed(api: PlayedAdmin, tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text(json.dumps(api.describe()))
    local = find_api(Target("", tmp_path), "auditor")
    assumed = replace(local, credentials=ReadOnlyCredentials("theirs", SECRET_KEY, "a-token"))
    api.then(200, documents.fleet())
    Client(assumed).get("fleets", "demo")
    (request,) = api.requests
    assert request.is_signed()
    assert request.headers["x-amz-security-token"] == "a-token"
    assert "x-amz-security-token" in request.headers["authorization"]


def test_a_lost_answer_is_asked_for_again_with_the_same_idempotency_key(
    api: PlayedAdmin, run: Run, waits: list[float]
) -> None:
    api.then(None).then(429, {"message": "Too Many Requests"}, retry_after="7").then(201, documents.fleet("a"))
    api.then(201, documents.fleet("b"))
    assert run("fleet", "create", "a") == 0
    assert run("fleet", "create", "b") == 0
    keys = [request.headers["idempotency-key"] for request in api.requests]
    assert keys[0] == keys[1] == keys[2] != keys[3]
    assert len({request.body for request in api.requests[:3]}) == 1
    assert waits == [1, 7]


def test_a_stage_that_stays_silent_is_given_up_after_three_tries(
    api: PlayedAdmin, run: Run, waits: list[float], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("cli.control.client.ANSWER_SECONDS", 0.1)
    for _ in range(3):
        api.then(None, silent=True)
    assert run("fleet", "show", "demo") == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        "the stage did not answer; trying again in 1 s",
        "the stage did not answer; trying again in 2 s",
        "the stage did not answer. Try again in a few minutes.",
    ]
    assert waits == [1, 2]


@pytest.mark.parametrize(("asked", "waited"), [("3600", 10), ("0", 0), ("Fri, 31 Dec 2027 23:59:59 GMT", 1)])
def test_the_client_waits_as_long_as_it_is_asked_to_within_reason(
    asked: str, waited: int, api: PlayedAdmin, run: Run, waits: list[float]
) -> None:
    api.then(503, {"message": "Service Unavailable"}, retry_after=asked).then(200, documents.fleet())
    assert run("fleet", "show", "demo") == 0
    assert waits == [waited]


def test_what_is_refused_is_not_asked_again(api: PlayedAdmin, run: Run, waits: list[float]) -> None:
    api.refuse(400, "invalid_body", "Expected `float` > 0 - at `$.events_per_second`.")
    assert run("fleet", "create", "demo", "--events-per-second", "1") == 2
    assert waits == []


def test_a_change_whose_outcome_is_unknown_points_to_the_audit(
    api: PlayedAdmin, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(3):
        api.refuse(503, "control_unavailable", "The database does not answer right now; try again.")
    assert run("fleet", "create", "demo") == 1
    said = capsys.readouterr().err
    assert (
        "Before you repeat it, check with `sluice audit list` whether it was done. The logs have the request as c-1."
        in said
    )


def test_a_change_that_is_stored_and_not_published_is_not_to_be_repeated(
    api: PlayedAdmin, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(3):
        api.refuse(503, "not_published", "The change is stored, but not published yet.")
    assert run("fleet", "create", "demo") == 1
    assert "Do not repeat the command" in capsys.readouterr().err


FORBIDDEN = {"message": "Forbidden"}
READERS = "admin, auditor, operator, schema-approver or schema-proposer"


@pytest.mark.parametrize(
    ("arguments", "status", "answer", "ends", "says"),
    [
        (["fleet", "list"], 403, FORBIDDEN, 2, f"It needs the role {READERS}: name it with --as"),
        (["audit", "list"], 403, FORBIDDEN, 2, "It needs the role admin or auditor:"),
        (["fleet", "create", "a"], 403, FORBIDDEN, 2, "It needs the role admin:"),
        (["fleet", "list"], 404, {"message": "Not Found"}, 1, "the stage has no admin API (404): deploy this release"),
        (["fleet", "list"], 500, {"message": "Internal Server Error"}, 1, "answered with 500"),
        (["fleet", "list"], 418, b"<html>\xff", 1, "answered with 418, which this release does not expect"),
        (["fleet", "list"], 200, b"<html>\xff", 1, "this release cannot read the stage's answer"),
        (["fleet", "list"], 200, {"fleets": []}, 1, "this release cannot read the stage's answer"),
        (["audit", "list"], 200, documents.page([{"n": 1}]), 1, "this release cannot read the stage's answer"),
        (["key", "create", "a", "--role", "device"], 201, {}, 1, "this release cannot read the stage's answer"),
    ],
)
def test_a_bad_answer_says_what_to_do(
    arguments: list[str],
    status: int,
    answer: Any,
    ends: int,
    says: str,
    api: PlayedAdmin,
    run: Run,
    capsys: pytest.CaptureFixture[str],
) -> None:
    api.then(status, answer)
    assert run(*arguments) == ends
    assert says in capsys.readouterr().err


def test_a_failure_of_the_gateway_is_named_by_its_request(
    api: PlayedAdmin, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    api.then(500, {"message": "Internal Server Error"}, apigw_requestid="r-1")
    assert run("fleet", "list") == 1
    assert "the stage answered with 500. Try again in a few minutes. The logs have the request as r-1." in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("status", "code", "detail", "says"),
    [
        (404, "unknown_fleet", "There is no fleet 'demo'.", "no fleet 'demo'. `sluice fleet list` lists the fleets."),
        (409, "fleet_exists", "There is a fleet demo already.", "choose another one"),
        (409, "fleet_archived", "Fleet demo is archived: it does not change any more.", "Fleet demo is archived"),
        (422, "idempotency_key_reused", "This idempotency key belongs to another request.", "belongs to another"),
    ],
)
def test_a_problem_is_said_in_its_own_words_with_what_to_do_next(
    status: int, code: str, detail: str, says: str, api: PlayedAdmin, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    api.refuse(status, code, detail)
    assert run("fleet", "create", "demo") == 2
    said = capsys.readouterr().err
    assert detail in said
    assert says in said


def test_a_stage_that_is_not_there_is_not_asked_again(
    run: Run, tmp_path: Path, waits: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    stack = json.loads((tmp_path / "stack.json").read_text())
    # Port 9 is "discard": nothing of ours listens there.
    (tmp_path / "stack.json").write_text(json.dumps(stack | {"api": "http://127.0.0.1:9"}))
    assert run("fleet", "list") == 1
    assert "the stage cannot be reached at http://127.0.0.1:9: " in capsys.readouterr().err
    assert waits == []


def test_the_local_stack_is_asked_as_the_role_that_is_named(tmp_path: Path) -> None:
    stack: dict[str, Any] = {"api": "http://x", "region": "here"}
    stack["roles"] = {name: {"access_key": name, "secret_key": "s"} for name in ("admin", "auditor")}
    (tmp_path / "stack.json").write_text(json.dumps(stack))
    assert find_api(Target("", tmp_path), None).credentials.access_key == "admin"
    assert find_api(Target("", tmp_path), "auditor").credentials.access_key == "auditor"


class Aws:
    """Plays a session, and the services that it asks where a stage is."""

    region_name: str | None = "eu-central-1"

    @property
    def meta(self) -> "Aws":
        return self

    def __init__(self, **outputs: str) -> None:
        self.outputs = outputs
        self.own: Credentials | None = Credentials("mine", SECRET_KEY)
        self.assumed: dict[str, str] = {}

    def client(self, _service: str, **_options: Any) -> "Aws":
        return self

    def get_credentials(self) -> Credentials | None:
        return self.own

    def describe_stacks(self, StackName: str) -> Any:  # noqa: N803 - as AWS calls it
        if StackName != "sluice-prod-pipeline":
            raise ClientError({"Error": {"Code": "ValidationError", "Message": "no such stack"}}, "DescribeStacks")
        listed = [{"OutputKey": name, "OutputValue": value} for name, value in self.outputs.items()]
        return {"Stacks": [{"Outputs": listed}]}

    def get_caller_identity(self) -> dict[str, str]:
        return {"Arn": "arn:aws:sts::123456789012:assumed-role/people/someone@example.org"}

    def assume_role(self, **asked: str) -> Any:
        self.assumed = asked
        return {"Credentials": {"AccessKeyId": "theirs", "SecretAccessKey": "s", "SessionToken": "t"}}


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Aws:
    played = Aws(
        ApiUrl0123ABCD="https://x",
        RolesAuditorArn0123ABCD="arn:auditor",
        RolesAuditorArnOld="arn:old",
        RolesSchemaApproverArn0123ABCD="arn:schema-approver",
    )
    monkeypatch.setattr(boto3, "Session", lambda **_options: played)
    monkeypatch.setattr(boto3, "client", lambda _service, **_options: played)
    return played


def test_a_deployed_stage_is_found_by_its_outputs(aws: Aws) -> None:
    found = find_api(Target("prod", Path("nowhere")), None)
    assert (found.address, found.region, found.credentials.access_key) == ("https://x", "eu-central-1", "mine")
    assert aws.assumed == {}


def test_an_assumed_role_bears_the_name_of_the_person_for_the_audit(aws: Aws) -> None:
    found = find_api(Target("prod", Path("nowhere")), "auditor")
    assert (found.credentials.access_key, found.credentials.token) == ("theirs", "t")
    assert aws.assumed == {"RoleArn": "arn:auditor", "RoleSessionName": "someone@example.org"}


def test_a_role_of_several_words_is_found_by_its_output(aws: Aws) -> None:
    find_api(Target("prod", Path("nowhere")), "schema-approver")
    assert aws.assumed["RoleArn"] == "arn:schema-approver"


def test_a_stage_that_cannot_be_found_says_why(aws: Aws) -> None:
    with pytest.raises(CommandError, match="there is no stage 'other'"):
        find_api(Target("other", Path("nowhere")), None)
    with pytest.raises(CommandError, match="no output RolesAdminArn: its pipeline"):
        find_api(Target("prod", Path("nowhere")), "admin")
    aws.own = None
    with pytest.raises(CommandError, match="no AWS credentials: log in") as raised:
        find_api(Target("prod", Path("nowhere")), None)
    assert raised.value.status == 2
    aws.region_name = None
    with pytest.raises(CommandError, match="set AWS_DEFAULT_REGION"):
        find_api(Target("prod", Path("nowhere")), None)
