"""The alert of the demo: what is made for it, what is said of it, and how it ends."""

import asyncio
import json
from typing import Any

import pytest

from cli.control.address import find_api
from cli.control.client import Client
from cli.simulation import alert as alerts
from cli.simulation.alert import MOST_SECONDS, OverheatingDevice
from cli.simulation.devices import HEAT, Fleet
from cli.stages import Target
from sluice.core.notify.slack import write_slack
from tests.support.alert_messages import make_message
from tests.support.played_admin import PlayedAdmin
from tests.support.samples import NOW

ID = "4f0c2f3b9a1d5e6077c1a2b3"


class Watched(OverheatingDevice):
    """An alert whose channel and clock a test moves."""

    def __init__(self, client: Any = None, stack: dict[str, Any] | None = None) -> None:
        self.seconds = 0.0
        self.channel: list[str] = []
        super().__init__(
            stack or {"api": "http://stack", "fleet": "demo"}, client, Fleet(1, 500, lambda: NOW), lambda: self.seconds
        )

    def _read(self) -> list[str]:
        return list(self.channel)

    def hear(self, happening: str, device: str = "") -> None:
        """A message comes."""
        message = make_message(incident_id=ID, examples=(device or self.device,), happening=happening)
        self.channel.append(json.dumps(write_slack(message), ensure_ascii=False))


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    monkeypatch.setattr(alerts, "CALM_SECONDS", 0.0)
    monkeypatch.setattr(alerts, "AGAIN_SECONDS", 0.0)
    return Watched()


async def follow(watched: Watched, *moments: tuple[float, str]) -> list[str]:
    """Let time pass, with messages; return what was said then."""
    running = asyncio.create_task(watched.run())
    said = [watched.say()]
    for second, happening in moments:
        while watched._fleet.heated is None and watched._hot_since is None:
            await asyncio.sleep(0.001)
        watched.seconds = second
        if happening:
            watched.hear(happening)
        await asyncio.sleep(0.1)
        said.append(watched.say())
    running.cancel()
    return said


def test_it_says_when_slack_was_notified_and_when_it_was_over(watched: Watched) -> None:
    watched.hear("opened", "press-99999")
    calm, hot, notified, over = asyncio.run(follow(watched, (4.0, ""), (8.2, "opened"), (19.0, "resolved")))
    assert calm == f"alert: {watched.device} has not overheated yet"
    assert hot == f"alert: {watched.device} has been above 90 degC for 4 s"
    assert notified == f"alert: {watched.device} overheated; incident {ID} opened, Slack notified after 8 s"
    assert over == f"{notified}; resolved after 19 s"


def test_an_incident_of_an_earlier_run_fires_again(watched: Watched) -> None:
    again = asyncio.run(follow(watched, (5.0, "updated")))[-1]
    assert again == f"alert: {watched.device} overheated; incident {ID} fired again, Slack notified after 5 s"


def test_it_waits_no_longer_than_a_bound_and_says_where_to_look(watched: Watched) -> None:
    asyncio.run(watched.settle())  # Nothing is hot yet.
    late = asyncio.run(follow(watched, (MOST_SECONDS, "")))[-1]
    asyncio.run(watched.settle())
    assert late.startswith(f"alert: {watched.device} is hot, and Slack was not notified within 20 s.")
    assert f"`sluice alerts show demo/{watched.device}` says why not" in late


def test_the_device_cools_down_once_people_are_notified(watched: Watched) -> None:
    asyncio.run(follow(watched, (4.0, "")))
    assert watched._fleet.heated is not None
    asyncio.run(follow(watched, (8.0, "opened")))
    assert watched._fleet.heated is None
    asyncio.run(watched.settle())


def test_an_overheated_device_sends_often_and_others_send_what_they_did() -> None:
    def sent(heated: int | None) -> dict[str, list[float]]:
        fleet = Fleet(1, 500, lambda: NOW)
        fleet.heated = heated
        found: dict[str, list[float]] = {}
        for _ in range(5000):
            event = json.loads(fleet.good_event().body)
            found.setdefault(event["device_id"], []).append(event["metrics"]["cpu_temp"])
        return found

    usual, hot = sent(None), sent(7)
    assert len(hot["press-00007"]) > 50 > len(usual["press-00007"])
    assert min(hot["press-00007"]) > max(map(max, usual.values()))
    assert min(hot["press-00007"]) > max(usual["press-00007"]) + HEAT / 2
    assert max(max(values) for name, values in hot.items() if name != "press-00007") < 90


@pytest.mark.parametrize("there", [False, True])
def test_the_rule_and_the_destination_are_made_once(
    api: PlayedAdmin, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    stack = {**api.describe(), "stage": "local", "aws": "http://aws", "fleet": "demo", "receivers": "http://receivers"}
    stack["admin"] = {"access_key": "a", "secret_key": "s"}
    (tmp_path / "stack.json").write_text(json.dumps(stack))
    made: list[dict[str, str]] = []

    class Keeper:
        def create_secret(self, **secret: str) -> None:
            made.append(secret)

    monkeypatch.setattr("boto3.client", lambda *_, **__: Keeper())
    unknown = {"code": "unknown", "detail": "There is none."}
    for _ in ("the destination", "the rule"):
        if there:
            api.then(200, {})
        else:
            api.then(404, unknown)
            api.then(201, {})
    Watched(Client(find_api(Target("", tmp_path), "admin")), stack).prepare()
    posted = [json.loads(each.body) for each in api.requests if each.method == "POST"]
    if there:
        assert (made, posted) == ([], [])
        return
    name = "sluice-local-destinations/demo-channel"
    assert made == [{"Name": name, "SecretString": json.dumps({"url": "http://receivers/slack/demo-channel"})}]
    destination, rule = posted
    assert destination == {"destination_id": "demo-channel", "kind": "slack", "secret": name}
    assert (rule["rule_id"], rule["metric"], rule["severity"]) == ("demo-hot", "cpu_temp", "critical")
