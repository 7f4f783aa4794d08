"""A deployment updates the readers of a topic, and of rows, before their writers."""

import json

from sluice.core.consumers import ALERT_EVENTS, CONSUMERS, DEAD_LETTERS, RAW_EVENTS, REPLAY_EVENTS
from tests.infra.templates import Resource, Templates

TOPICS = (RAW_EVENTS, REPLAY_EVENTS, DEAD_LETTERS, ALERT_EVENTS)


def test_every_writer_of_a_topic_is_updated_after_all_its_readers(templates: Templates) -> None:
    functions, live = templates.functions(), templates.aliases()
    orders = {
        (writer, consumer.name)
        for writer, topics in _written(templates).items()
        for consumer in CONSUMERS
        if consumer.topic in topics
    }
    assert {("ingest", "archive"), ("ingest", "aggregate"), ("salvage", "deadletter")} <= orders
    for writer, reader in orders:
        # The alias moves last: a writer, with what it has of an alias, waits until its reader has shifted.
        for written in (functions[writer], *([live[writer]] if writer in live else [])):
            assert templates.waits_for(written, live[reader]), f"{writer} does not wait for {reader}"


def test_no_reader_waits_for_its_writers(templates: Templates) -> None:
    functions = templates.functions()
    for writer, topics in _written(templates).items():
        for consumer in CONSUMERS:
            if consumer.topic in topics:
                reader = templates.aliases()[consumer.name]
                assert functions[writer].name not in _all_before(templates, reader), consumer.name
                assert functions[writer].stack not in templates.earlier(reader.stack), consumer.name


def test_archive_is_updated_after_those_that_read_its_rows(templates: Templates) -> None:
    functions = templates.functions()
    for reader in ("salvage", "seek"):
        assert functions[reader].name in functions["archive"].policies["DependsOn"], reader
        assert functions["archive"].name not in _all_before(templates, functions[reader])


def _written(templates: Templates) -> dict[str, set[str]]:
    """Return the topics that each function may write to, by its role."""
    names = {topic.name: topic.properties["TopicName"] for topic in templates.every("AWS::MSK::Topic")}
    written: dict[str, set[str]] = {}
    for verb, function in templates.functions().items():
        role = function.properties["Role"]["Fn::GetAtt"][0]
        for policy in templates.named(role).properties["Policies"]:
            for statement in policy["PolicyDocument"]["Statement"]:
                if "kafka-cluster:WriteData" in statement["Action"]:
                    places = json.dumps(statement["Resource"])
                    written.setdefault(verb, set()).update(topic for name, topic in names.items() if name in places)
    return written


def _all_before(templates: Templates, resource: Resource) -> set[str]:
    """Return everything that is created or updated before a resource because of an explicit dependency."""
    found: set[str] = set()
    waiting = [resource.name]
    while waiting:
        for name in templates.named(waiting.pop()).policies["DependsOn"] or ():
            if name not in found:
                found.add(name)
                waiting.append(name)
    return found
