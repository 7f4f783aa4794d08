"""Notifications that were given up: which queue each goes back to, and those that this release does not know."""

import json
from pathlib import Path
from typing import Any

import boto3
import msgspec
import pytest

from cli.__main__ import main
from sluice.core.notify.deliveries import Delivery
from tests.support.alert_messages import OPENED, OPENED_AT

DELIVERY = Delivery(destination_id="ops", routed_at=OPENED_AT, message=OPENED)
LATER = {"version": 2, "destination_id": "ops", "message": {"of": "another form"}}


class PlayedSqs:
    """The queues of a stage: the letters are given out once."""

    def __init__(self, *bodies: object) -> None:
        self.letters = [each if isinstance(each, str) else msgspec.json.encode(each).decode() for each in bodies]
        self.given = False
        self.sent: list[tuple[str, str]] = []
        self.removed: list[str] = []

    def get_queue_url(self, *, QueueName: str) -> dict[str, str]:  # noqa: N803
        return {"QueueUrl": QueueName.removeprefix("sluice-local-notification-").removesuffix(".fifo")}

    def get_queue_attributes(self, **_: object) -> dict[str, Any]:
        return {"Attributes": {"ApproximateNumberOfMessages": str(len(self.letters))}}

    def receive_message(self, **_: object) -> dict[str, Any]:
        if self.given:
            return {}
        self.given = True
        return {"Messages": [self._write(number, body) for number, body in enumerate(self.letters)]}

    def send_message(self, **message: str) -> None:
        self.sent.append((message["QueueUrl"], message["MessageBody"]))

    def delete_message(self, **message: str) -> None:
        self.removed.append(message["ReceiptHandle"])

    def change_message_visibility(self, **_: object) -> None:
        pass

    def _write(self, number: int, body: str) -> dict[str, Any]:
        return {
            "MessageId": f"m-{number}",
            "ReceiptHandle": f"r-{number}",
            "Body": body,
            "Attributes": {"MessageGroupId": "g"},
        }


@pytest.fixture
def where(tmp_path: Path) -> list[str]:
    stack = {"stage": "local", "region": "r", "aws": "", "admin": {"access_key": "a", "secret_key": "s"}}
    (tmp_path / "stack.json").write_text(json.dumps(stack))
    return ["--dir", str(tmp_path)]


def play(monkeypatch: pytest.MonkeyPatch, *bodies: object) -> PlayedSqs:
    sqs = PlayedSqs(*bodies)
    monkeypatch.setattr(boto3, "client", lambda *_, **__: sqs)
    return sqs


def test_each_goes_back_to_the_queue_that_it_came_from(monkeypatch: pytest.MonkeyPatch, where: list[str]) -> None:
    sqs = play(monkeypatch, DELIVERY, OPENED, "{}", '{"destination_id": "ops"}')

    assert main(["notifications", "redrive", "--yes", *where]) == 0
    assert [queue for queue, _ in sqs.sent] == ["deliveries", "messages", "messages", "deliveries"]
    assert [body for _, body in sqs.sent] == sqs.letters
    assert sqs.removed == ["r-0", "r-1", "r-2", "r-3"]


@pytest.mark.parametrize("later", [LATER, msgspec.structs.replace(OPENED, version=2)], ids=["delivery", "message"])
def test_what_a_later_release_wrote_is_refused_and_stays(
    monkeypatch: pytest.MonkeyPatch, where: list[str], capsys: pytest.CaptureFixture[str], later: object
) -> None:
    sqs = play(monkeypatch, DELIVERY, later, OPENED)

    assert main(["notifications", "redrive", "--yes", *where]) == 1
    assert [queue for queue, _ in sqs.sent] == ["deliveries"]
    assert sqs.removed == ["r-0"]
    said = capsys.readouterr().err
    assert "a notification is of a later release: this release does not know version 2 of" in said


def test_what_a_later_release_wrote_is_listed_with_its_destination_and_can_be_discarded(
    monkeypatch: pytest.MonkeyPatch, where: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    play(monkeypatch, OPENED, LATER)
    assert main(["notifications", "list", "--destination", "ops", "--json", *where]) == 0
    assert [each["destination_id"] for each in json.loads(capsys.readouterr().out)["items"]] == ["ops"]

    sqs = play(monkeypatch, OPENED, LATER)
    assert main(["notifications", "discard", "--destination", "ops", "--yes", *where]) == 0
    assert sqs.removed == ["r-1"]
