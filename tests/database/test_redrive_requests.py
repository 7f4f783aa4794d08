"""Admins' requests about dead letters on a real database: what they begin and end, each with its audit entry."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec
import psycopg
import pytest

from sluice.core.times import write_time
from sluice.edge.control.redrives import Redrives
from sluice.edge.control.store import ControlStore
from sluice.edge.invoked import Answer, InvokedFunction
from tests.database.administering import FLEETS, SOMEONE, Admin, Got, Owner, acts, entries, make_fleet

GROUP = "0123456789abcdef"
RANGE = {"from": "2026-11-19T00:00:00Z", "to": "2026-12-01T00:00:00Z"}
FIX = [{"verb": "drop", "path": "metrics.humidity"}]
WANTED = {"group_id": GROUP, **RANGE, "fix": FIX, "reason": "firmware 2.4 sends words"}


class Asked(InvokedFunction):
    """The function redrive, as far as admin needs it."""

    def __init__(self, fleet_id: str = "f") -> None:
        super().__init__("redrive", 1, "us-east-1")
        self.fleet_id = fleet_id
        self.questions: list[Any] = []

    def ask(self, question: object, kind: type[Answer]) -> Answer:
        """Answer that all would pass."""
        self.questions.append(json.loads(msgspec.json.encode(question)))
        measured = {"fix": FIX, "tried": 2, "passed": 2, "passed_before": 0, "share": 1.0, "complete": True}
        measured["fleet_id"] = self.fleet_id
        return msgspec.convert({"result": measured}, kind)


def redriving(admin: Admin, asked: Asked) -> Callable[..., Got]:
    """What asks the routes of re-drives."""
    administration = msgspec.structs.replace(
        admin.administration, redrives=Redrives(ControlStore(admin.database), asked)
    )

    def ask(route: str, body: object = None, query: str = "", **path: str) -> Got:
        event = {
            "routeKey": route,
            "rawQueryString": query,
            "pathParameters": path,
            "headers": {},
            "requestContext": {
                "timeEpoch": admin.now.timestamp() * 1000,
                "requestId": "r-1",
                "authorizer": {"iam": {"userArn": SOMEONE}},
            },
            "body": "" if body is None else json.dumps(body),
        }
        answer = administration.answer(event, 1)
        return Got(answer.status, dict(answer.headers), json.loads(answer.body))

    return ask


@pytest.fixture
def owner(database: str) -> Iterator[Owner]:
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


@pytest.fixture
def admin(database: str) -> Iterator[Admin]:
    admin = Admin(database)
    yield admin
    admin.database.close()


BEGIN, SHOW, CANCEL = (
    "POST /v1/admin/redrives",
    "GET /v1/admin/redrives/{redrive}",
    "POST /v1/admin/redrives/{redrive}/cancel",
)


def test_a_redrive_is_begun_shown_and_cancelled_with_an_entry_for_each(admin: Admin, owner: Owner) -> None:
    make_fleet(admin)
    asked = Asked()
    ask = redriving(admin, asked)
    foretold = ask(BEGIN, WANTED, "dry_run=true")
    assert (foretold.status, foretold.body["share"], foretold.body["dry_run"]) == (200, 1.0, True)
    assert owner.execute("SELECT count(*) FROM redrive").fetchall() == [(0,)]
    begun = ask(BEGIN, WANTED)
    assert (begun.status, begun.body["state"], begun.body["fix"]) == (202, "sending", FIX)
    # The end lies in the future: letters of then are not in it.
    assert begun.body["to"] == write_time(admin.now)
    assert asked.questions[-1]["step"] == "measure"
    name = begun.body["redrive_id"]
    assert ask(BEGIN, WANTED).body["code"] == "redrive_active"
    shown = ask(SHOW, redrive=name)
    assert shown.body["letters"] == dict.fromkeys(("sending", "accepted", "accounted", "rejected", "incomplete"), 0)
    assert [one["redrive_id"] for one in ask("GET /v1/admin/redrives").body["items"]] == [name]
    assert ask(CANCEL, {}, redrive=name).body["code"] == "reason_required"
    assert ask(CANCEL, {"reason": "the wrong unit"}, redrive=name).body["state"] == "cancelled"
    assert ask(CANCEL, {"reason": "again"}, redrive=name).body["code"] == "redrive_ended"
    target = f"redrive/{name}"
    assert acts(owner)[1:] == [("redrive.apply", target), ("redrive.cancel", target)]
    assert json.loads(entries(owner)[1].text)["reason"] == WANTED["reason"]
    assert ask(BEGIN, WANTED).status == 202


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (WANTED | {"reason": " "}, "reason_required"),
        (WANTED | {"group_id": "x"}, "invalid_body"),
        (WANTED | {"colour": "red"}, "invalid_body"),
        ({}, "invalid_body"),
    ],
)
def test_a_redrive_that_is_not_described_well_is_refused(admin: Admin, body: object, code: str) -> None:
    asked = Asked()
    assert redriving(admin, asked)(BEGIN, body).body["code"] == code
    assert asked.questions == []


def test_an_archived_fleet_has_no_redrive(admin: Admin, owner: Owner) -> None:
    make_fleet(admin)
    admin("POST", f"{FLEETS}/f/archive", {"reason": "the end"}, if_match='"1"')
    assert redriving(admin, Asked())(BEGIN, WANTED).body["code"] == "fleet_archived"
    assert owner.execute("SELECT count(*) FROM redrive").fetchall() == [(0,)]


@pytest.mark.parametrize("name", ["redrive-7", "redrive-x", "redrive-99999999999999999999", "7\u0661"])
def test_a_redrive_that_there_is_not_is_unknown(admin: Admin, name: str) -> None:
    ask = redriving(admin, Asked())
    for got in (ask(SHOW, redrive=name), ask(CANCEL, {"reason": "why"}, redrive=name)):
        assert (got.status, got.body["code"]) == (404, "unknown_redrive")


def test_questions_about_letters_are_passed_on_with_a_range(admin: Admin) -> None:
    asked = Asked()
    ask = redriving(admin, asked)
    ask("GET /v1/admin/dead-letters/groups", query="fleet_id=f&from=2026-11-20T00:00:00Z")
    ask("GET /v1/admin/dead-letters/letters/{letter}", letter="0123456789ab")
    ask("GET /v1/admin/dead-letters/groups/{group}/proposal", group=GROUP)
    assert [(one["step"], one["asked"].get("fleet_id")) for one in asked.questions] == [
        ("groups", "f"),
        ("explain", None),
        ("propose", None),
    ]
    until = datetime.fromisoformat(asked.questions[1]["asked"]["to"])
    assert until - datetime.fromisoformat(asked.questions[1]["asked"]["from"]) == timedelta(days=1)
    assert ask("GET /v1/admin/dead-letters/groups", query="from=yesterday").body["code"] == "invalid_parameter"
