"""notify: what it may reach, whom it may tell, and queues that lose nothing and repeat little."""

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from infra.building_blocks.function import Compute
from infra.functions.notify import OTHER_SECONDS, ROUTING_AT_ONCE, TESTING_AT_ONCE, NotifyProfile
from infra.profiles.baseline import BASELINE
from sluice.core.control.destinations import TEST_ANOTHER
from sluice.core.notify.deliveries import MOST_ATTEMPTS, PAUSES
from sluice.edge.notify.posting import TOTAL_SECONDS
from sluice.edge.settings import NotifySettings
from tests.infra.templates import ROOT, Templates

# SQS drops a message that is sent again within so long.
REPEATS_SECONDS = 300


def test_it_is_outside_the_private_network_and_reaches_none_of_its_stores(templates: Templates) -> None:
    assert "VpcConfig" not in templates.functions()["notify"].properties
    services = {action.partition(":")[0] for action in templates.granted("notify")}
    assert services == {"kms", "logs", "s3", "secretsmanager", "sqs"}


def test_it_reads_the_secrets_of_destinations_and_no_others(templates: Templates) -> None:
    (secrets,) = templates.granted("notify")["secretsmanager:GetSecretValue"]
    assert "secret:sluice-proof-destinations/*" in secrets


def test_it_writes_no_control_data(templates: Templates) -> None:
    written = templates.granted("notify")["s3:PutObject"]
    assert len(written) == 1
    assert "/notified/*" in written[0]


def test_no_profile_lets_a_server_on_this_machine_through(templates: Templates) -> None:
    assert templates.settings("notify", NotifySettings).notify_loopback == "none"
    named = [path for path in (ROOT / "infra" / "profiles").glob("*.py") if "loopback" in path.read_text()]
    assert named == []


def test_a_message_is_hidden_for_six_timeouts_and_for_less_than_repeats_are_dropped(templates: Templates) -> None:
    timeout = templates.functions()["notify"].properties["Timeout"]
    for name in ("messages", "deliveries"):
        hidden = queue(templates, name)["VisibilityTimeout"]
        assert 6 * timeout <= hidden
        assert hidden + timeout < REPEATS_SECONDS


def test_each_message_comes_alone_and_no_more_at_once_than_there_are_environments(templates: Templates) -> None:
    every = [each.properties for each in templates.queue_sources()]
    sources = [each for each in every if "Notifications" in str(each["EventSourceArn"])]
    assert all(each["FunctionResponseTypes"] == ["ReportBatchItemFailures"] for each in sources)
    assert [each["BatchSize"] for each in sources] == [1, 1]
    at_once = [each["ScalingConfig"]["MaximumConcurrency"] for each in sources]
    assert sorted(at_once) == sorted([ROUTING_AT_ONCE, templates.profile.notify.destinations_at_once])
    assert sum(at_once) <= templates.functions()["notify"].properties["ReservedConcurrentExecutions"]


def test_what_is_received_too_often_is_a_dead_letter_after_all_attempts(templates: Templates) -> None:
    # What waits for us has no other bound: it must outlast an outage of S3, and leave a delivery all of its attempts.
    for name in ("messages", "deliveries"):
        most = queue(templates, name)["RedrivePolicy"]["maxReceiveCount"]
        assert sum(PAUSES) + (most - MOST_ATTEMPTS) * PAUSES[-1] > 3600
    assert queue(templates, "letters")["MessageRetentionPeriod"] == 14 * 24 * 3600


def test_the_topic_in_order_sends_bare_messages_and_nobody_else_may(templates: Templates) -> None:
    subscription = templates.only("AWS::SNS::Subscription").properties
    assert "InOrder" in str(subscription["TopicArn"])
    assert subscription["RawMessageDelivery"] is True
    assert "Letters" in str(subscription["RedrivePolicy"])
    policies = [each for each in templates.every("AWS::SQS::QueuePolicy") if "NotificationsMessages" in each.name]
    (policy,) = policies
    allowed = [each for each in policy.properties["PolicyDocument"]["Statement"] if each["Effect"] == "Allow"]
    assert [(each["Principal"], each["Action"]) for each in allowed] == [
        ({"Service": "sns.amazonaws.com"}, "sqs:SendMessage")
    ]
    assert "InOrder" in json.dumps(allowed[0]["Condition"])


def test_alarms_tell_of_dead_letters_and_of_waiting(templates: Templates) -> None:
    names = {name for name in templates.alarms() if name.startswith(("notif", "notify"))}
    assert names >= {
        "notifications-letters",
        "notifications-messages-late",
        "notifications-deliveries-late",
        "notify-errors",
        "notify-unreported",
    }


@pytest.mark.parametrize(
    ("compute", "at_once", "said"),
    [
        (Compute(512, int(TOTAL_SECONDS + OTHER_SECONDS), 12), 8, "took all of its time"),
        (Compute(512, 30, 11), 8, "finds no free environment"),
        (Compute(512, 31, 12), 8, "six timeouts"),
    ],
)
def test_settings_that_could_not_work_are_refused(compute: Compute, at_once: int, said: str) -> None:
    assert BASELINE.notify.compute.timeout_seconds == 30
    with pytest.raises(ValueError, match=said):
        NotifyProfile(compute=compute, destination_s3_seconds=30, destinations_at_once=at_once)


def test_tests_that_would_overlap_with_more_than_their_environments_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert TESTING_AT_ONCE * TEST_ANOTHER.total_seconds() == BASELINE.notify.compute.timeout_seconds
    monkeypatch.setattr("infra.functions.notify.TEST_ANOTHER", timedelta(seconds=14))
    with pytest.raises(ValueError, match="a test must end"):
        replace(BASELINE.notify)


def test_only_notify_uses_the_client_for_strangers() -> None:
    users = {path.parent.name for path in (ROOT / "functions").glob("*/handler.py") if "Poster" in path.read_text()}
    assert users == {"notify"}


def queue(templates: Templates, name: str) -> dict[str, Any]:
    called = f"sluice-proof-notification-{name}.fifo"
    (found,) = [
        each.properties for each in templates.every("AWS::SQS::Queue") if each.properties["QueueName"] == called
    ]
    return found
