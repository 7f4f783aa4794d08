"""How a stage is doing, asked from outside: its API, and the brokers and the cache, or else its alarms."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from cli.aws import locate_api, open_client
from cli.stages import CommandError, Target, read_stack
from sluice.core.consumers import CONSUMERS

ANSWER_SECONDS = 10


class Alarm(msgspec.Struct, frozen=True):
    """An alarm that is in ALARM."""

    name: str
    since: str
    why: str


class Health(msgspec.Struct):
    """What is known of a stage; what its kind does not have, or could not be asked, is None."""

    stage: str
    api: str
    health: str | None = None
    freshness_seconds: float | None = None
    refused_share: float | None = None
    unread: Mapping[str, int] | None = None
    """Records that a consumer has not read, by consumer."""
    alarms: list[Alarm] | None = None
    problems: dict[str, str] = msgspec.field(default_factory=dict)
    """What could not be asked, and why."""

    @property
    def is_local(self) -> bool:
        """Whether it is the local stack, which has no alarms."""
        return self.alarms is None

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        return self.health == "ok" and not self.alarms and not self.problems and not self.refused_share

    def as_document(self) -> Any:
        """Write it as JSON has it."""
        return msgspec.to_builtins(self)

    def ask(self, part: str, question: Callable[[], None]) -> None:
        """Ask for one part; the others are shown without it."""
        try:
            question()
        except UnknownPartError as error:
            self.problems[part] = str(error)


class UnknownPartError(Exception):
    """A part of a stage's health could not be asked."""


def ask_local(target: Target) -> Health:
    """Ask everything of the local stack."""
    stack = read_stack(target.dir)
    found = Health("local", stack["api"])

    def freshness() -> None:
        fleet = _get(f"{stack['api']}/v1/fleets/{stack['fleet']}", stack["keys"]["reader"])
        found.freshness_seconds = fleet["freshness_seconds"]

    def refused() -> None:
        found.refused_share = _read_refused_share(stack["cache"])

    def unread() -> None:
        found.unread = count_unread(stack)

    found.ask("health", lambda: _ask_health(found))
    found.ask("freshness", freshness)
    found.ask("refused", refused)
    found.ask("unread", unread)
    return found


def ask_deployed(target: Target) -> Health:
    """Ask what can be asked of a deployed stage from outside its network."""
    found = Health(target.stage, locate_api(target))
    found.ask("health", lambda: _ask_health(found))
    found.alarms = list_alarms(target)
    return found


def list_alarms(target: Target) -> list[Alarm]:
    """List the stage's alarms that are in ALARM."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        pages = (
            open_client(target, "cloudwatch")
            .get_paginator("describe_alarms")
            .paginate(AlarmNamePrefix=f"sluice-{target.stage}-", AlarmTypes=["CompositeAlarm", "MetricAlarm"])
        )
        return [
            Alarm(
                alarm["AlarmName"],
                f"{alarm['StateUpdatedTimestamp'].astimezone(UTC):%Y-%m-%d %H:%M:%S}",
                alarm.get("AlarmDescription") or alarm["StateReason"],
            )
            for page in pages
            for alarm in (*page["MetricAlarms"], *page["CompositeAlarms"])
            if alarm["StateValue"] == "ALARM"
        ]
    except (BotoCoreError, ClientError) as error:
        raise CommandError(f"CloudWatch did not answer: {error}") from error


def count_unread(stack: Mapping[str, Any]) -> dict[str, int]:
    """Count the records of each consumer's topic that it has not committed."""
    # Not AdminClient: in librdkafka 2.16 its list_consumer_group_offsets crashes while a group's coordinator moves.
    from confluent_kafka import Consumer, KafkaException, TopicPartition

    unread = {}
    for consumer in CONSUMERS:
        # It asks under the consumer's name and never joins its group.
        asks = {"group.id": stack["consumers"][consumer.name], "enable.auto.commit": False}
        client = Consumer({"bootstrap.servers": stack["broker"], "log_level": 0, **asks})
        try:
            topic = client.list_topics(consumer.topic, timeout=ANSWER_SECONDS).topics[consumer.topic]
            places = [TopicPartition(consumer.topic, number) for number in topic.partitions]
            unread[consumer.name] = sum(
                _count_behind(client.get_watermark_offsets(place, timeout=ANSWER_SECONDS), place.offset)
                for place in client.committed(places, timeout=ANSWER_SECONDS)
            )
        except KafkaException as error:
            raise UnknownPartError(f"the brokers do not answer: {error.args[0].str()}") from error
        finally:
            client.close()
    return unread


def _count_behind(ends: tuple[int, int], committed: int) -> int:
    """Count the records from the committed offset, or from the first that is kept, to the end."""
    first, end = ends
    return end - max(committed, first)


def _ask_health(found: Health) -> None:
    _get(f"{found.api}/health")
    found.health = "ok"


def _get(address: str, key: str | None = None) -> Any:
    request = urllib.request.Request(address, headers={"x-api-key": key} if key else {})  # noqa: S310 - a stage's API
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:  # noqa: S310 - the same
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise UnknownPartError(f"the API answered {error.code} {error.reason}") from error
    except (OSError, ValueError) as error:
        raise UnknownPartError(f"the API does not answer: {getattr(error, 'reason', error)}") from error


def _read_refused_share(address: str) -> float:
    """Read the share of requests that ingest refuses from the snapshot that pressure publishes."""
    import redis

    from sluice.core.ingest.pressure import UnknownPressureError, read_snapshot
    from sluice.edge.ingest.pressure import NAME

    try:
        with redis.Redis.from_url(address, socket_timeout=ANSWER_SECONDS) as cache:
            return read_snapshot(cache.get(NAME), datetime.now(UTC)).share
    except redis.RedisError as error:
        raise UnknownPartError(f"the cache does not answer: {error}") from error
    except UnknownPressureError as error:
        raise UnknownPartError(str(error)) from error
