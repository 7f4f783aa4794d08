"""What every function, bucket, alarm and name has in common. Each convention names what violates it."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from infra.watch.severity import OUTAGES, heading_of
from sluice.core.consumers import ACCOUNTED, CONSUMERS
from sluice.core.metrics import METRICS, QUARANTINE_EXCEEDED, RECORDS_HELD
from sluice.edge import settings
from tests.infra.templates import ROOT, Resource, Templates

# The last consumer of failures has no failure destination, a replay waits for each of its events, and an incident must
# not be lost because the database was down for hours: none of them gives up.
WITHOUT_FAILURE_DESTINATION = {"alert", "deadletter", "recount"}
# The bucket whose objects are replaced in place, and never grow old.
REPLACED = "Control"
# Services that invoke functions and do not wait for an answer. A mapping identifies an event source.
ASYNCHRONOUS = {"events.amazonaws.com", "s3.amazonaws.com", "scheduler.amazonaws.com", "sns.amazonaws.com"}
# Of an account's default quota, Lambda keeps this much for functions that reserve nothing.
CONCURRENCY = 1000 - 100
# Of the 500 resources that CloudFormation takes in a stack; a function with its role, rules and alarms is some fifteen.
MOST_RESOURCES = 470
# Ends in Name or Identifier, and is not the resource's own name.
NAMES_WITHIN = {"CACertificateIdentifier", "DBName"}

Complaints = Iterator[str]


def names_mirror(templates: Templates) -> Complaints:
    """A function has one name in functions/, infra/functions/ and tests/. Everything there belongs to a function."""
    verbs = set(templates.functions())
    paths = [path for path in (ROOT / "tests").rglob("test_*.py") if not {"core", "edge"} & set(path.parts)]
    tested = {path.stem.removeprefix("test_") for path in paths}
    for verb in sorted(verbs):
        if not (ROOT / "functions" / verb / "handler.py").is_file():
            yield f"{verb}: no functions/{verb}/handler.py"
        if not (ROOT / "infra" / "functions" / f"{verb}.py").is_file():
            yield f"{verb}: no infra/functions/{verb}.py"
        if verb not in tested:
            yield f"{verb}: nothing in tests/ is named after it"
    for folder in sorted(path.name for path in (ROOT / "functions").iterdir() if path.is_dir()):
        if folder not in verbs and folder != "__pycache__":
            yield f"functions/{folder}: add infra/functions/{folder}.py, and use its construct in infra/stacks.py"
    for module in sorted(path.stem for path in (ROOT / "infra" / "functions").glob("*.py")):
        if module not in verbs and module != "__init__":
            yield f"infra/functions/{module}.py: infra/stacks.py does not use its construct"


def every_function_is_built_by_its_construct(templates: Templates) -> Complaints:
    """Its construct in infra/functions holds the function, its role, its log and, inside the network, its group."""
    for verb, function in templates.functions().items():
        inside = ("SecurityGroup",) if "VpcConfig" in function.properties else ()
        for part in ("Function", "Role", "Logs", *inside):
            beginning = f"{verb.capitalize()}{part}"
            if not any(resource.name.startswith(beginning) for resource in templates.every()):
                yield f"{verb}: no {beginning}"
        if not function.name.startswith(f"{verb.capitalize()}Function"):
            yield f"{verb}: is {function.name}"


def every_log_expires(templates: Templates) -> Complaints:
    """Every function writes to a log group of its own, and no log group is kept for ever."""
    groups = {group.name: group.properties for group in templates.every("AWS::Logs::LogGroup")}
    for name, group in groups.items():
        if not group.get("RetentionInDays"):
            yield f"{name}: is kept for ever"
    used = [function.properties.get("LoggingConfig", {}).get("LogGroup") for function in templates.functions().values()]
    for verb, group in zip(templates.functions(), used, strict=True):
        if group is None or group.get("Ref") not in groups:
            yield f"{verb}: has no log group"
        elif used.count(group) > 1:
            yield f"{verb}: shares its log group"


def every_function_is_told_what_its_code_reads(templates: Templates) -> Complaints:
    """Every function's environment has the fields of the structs that its handler reads, and no other."""
    for verb in templates.functions():
        handler = ROOT / "functions" / verb / "handler.py"
        names = set(re.findall(r"(\w+Settings)\.from_environ", handler.read_text())) if handler.is_file() else set()
        structs = [settings.FunctionSettings, *(getattr(settings, name) for name in sorted(names))]
        told = set(templates.variables(verb))
        fields = [(struct, field) for struct in structs for field in msgspec.structs.fields(struct)]
        for struct, field in fields:
            if field.required and field.name.upper() not in told:
                yield f"{verb}: reads {struct.__name__}.{field.name}, and is not told it"
        for name in sorted(told - {field.name.upper() for _, field in fields} - {"AWS_REGION"}):
            yield f"{verb}: is given {name}, and reads no struct with it"


def every_consumer_has_its_event_source(templates: Templates) -> Complaints:
    """The registry's consumers are the functions behind event sources, each with its topic."""
    functions = {function.name: verb for verb, function in templates.functions().items()}
    sources = {
        (
            group,
            functions.get(templates.function_of(source.properties["FunctionName"]), ""),
            *source.properties["Topics"],
        )
        for group, source in templates.sources().items()
    }
    registered = {(consumer.name, consumer.name, consumer.topic) for consumer in CONSUMERS}
    for name, _, topic in sorted(registered - sources):
        yield f"{name}: is a consumer of {topic}, and no event source of that name and topic feeds its function"
    for name, verb, topic in sorted(sources - registered):
        yield f"{name}: feeds {verb} from {topic}, and is not in sluice.core.consumers"


def every_function_is_started(templates: Templates) -> Complaints:
    """A route, an event source, a schedule, a deployment's trigger, a machine or another function starts every one."""
    sources = [*templates.sources().values(), *templates.queue_sources()]
    started = {templates.function_of(source.properties["FunctionName"]) for source in sources}
    started |= {
        _referred(schedule.properties["Target"]["Arn"]) for schedule in templates.every("AWS::Scheduler::Schedule")
    }
    started |= _awaited(templates)
    invoked = "".join(
        place for verb in templates.functions() for place in templates.granted(verb).get("lambda:InvokeFunction", [])
    )
    machines = templates.every("AWS::StepFunctions::StateMachine")
    roles = [templates.named(_referred(machine.properties["RoleArn"])) for machine in machines]
    invoked += json.dumps([role.properties["Policies"] for role in roles])
    for verb, function in templates.functions().items():
        if function.name not in started and f'"{function.name}"' not in invoked:
            yield f"{verb}: nothing starts it; add a Schedule or a door to infra/functions/{verb}.py"


def every_function_is_bounded(templates: Templates) -> Complaints:
    """Every function states how long and how many times at once it may run."""
    for verb, function in templates.functions().items():
        for bound in ("Timeout", "ReservedConcurrentExecutions"):
            if not function.properties.get(bound):
                yield f"{verb}: no {bound}"


def concurrency_adds_up(templates: Templates) -> Complaints:
    """All functions together reserve no more than an account has by default."""
    reserved = sum(
        function.properties.get("ReservedConcurrentExecutions", 0) for function in templates.functions().values()
    )
    if reserved > CONCURRENCY:
        yield f"functions reserve {reserved} of {CONCURRENCY}"


def every_function_is_watched(templates: Templates) -> Complaints:
    """Every function has an alarm on errors, and one on throttles where a caller waits for its answer."""
    for verb, function in templates.functions().items():
        watched = _watched(templates, "FunctionName", function)
        if "Errors" not in watched:
            yield f"{verb}: no alarm on errors"
        if function.name in _awaited(templates) and "Throttles" not in watched:
            yield f"{verb}: no alarm on throttles"


def every_consumer_is_watched(templates: Templates) -> Complaints:
    """Every consumer has an alarm on being late, on failing for long, on losing records, on halting and on holding."""
    for consumer, source in templates.sources().items():
        late = [
            alarm.name
            for alarm in templates.every("AWS::CloudWatch::Alarm")
            if alarm.properties.get("MetricName") == "EstimatedMaxTimeLag"
            and {"Name": "Consumer Group", "Value": consumer} in alarm.properties["Dimensions"]
        ]
        if not late:
            yield f"{consumer}: no alarm on being late"
        for metric in ("FailedInvokeEventCount", "DroppedEventCount"):
            if metric not in _watched(templates, "EventSourceMappingUUID", source):
                yield f"{consumer}: no alarm on {metric}"
    own = [
        (alarm.properties["MetricName"], one["Value"])
        for alarm in templates.every("AWS::CloudWatch::Alarm")
        for one in alarm.properties.get("Dimensions", [])
        if one["Name"] == "service"
    ]
    for accounted in ACCOUNTED:
        for recorded in (QUARANTINE_EXCEEDED, RECORDS_HELD):
            if (recorded.name, accounted.name) not in own:
                yield f"{accounted.name}: no alarm on {recorded.name}"


def every_metric_of_ours_is_registered(templates: Templates) -> Complaints:
    """An alarm on a metric of ours names one that the registry has, of a function, with all of its dimensions."""
    registered = {metric.name: set(metric.dimensions) for metric in METRICS}
    for alarm in templates.every("AWS::CloudWatch::Alarm"):
        parts = [one["MetricStat"]["Metric"] for one in alarm.properties.get("Metrics", []) if "MetricStat" in one]
        for metric in [*parts, alarm.properties]:
            if not str(metric.get("Namespace", "AWS/")).startswith("AWS/"):
                dimensions = {one["Name"]: one["Value"] for one in metric["Dimensions"]}
                if metric["MetricName"] not in registered:
                    yield f"{alarm.name}: {metric['MetricName']} is not in sluice.core.metrics"
                elif set(dimensions) != {"service"} | registered[metric["MetricName"]]:
                    yield f"{alarm.name}: {metric['MetricName']} is not written with {sorted(dimensions)}"
                elif dimensions["service"] not in templates.functions():
                    yield f"{alarm.name}: no function {dimensions['service']}"


def every_failure_has_somewhere_to_go(templates: Templates) -> Complaints:
    """A failed asynchronous call goes to a destination and raises an alarm. Consumers without one never give up."""
    verbs = {function.name: verb for verb, function in templates.functions().items()}
    for source in templates.sources().values():
        verb = verbs[templates.function_of(source.properties["FunctionName"])]
        destination = source.properties.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
        if verb in WITHOUT_FAILURE_DESTINATION:
            if (
                destination
                or not source.properties["MaximumRetryAttempts"]
                == -1
                == (source.properties["MaximumRecordAgeInSeconds"])
            ):
                yield f"{verb}: gives up"
        elif not destination:
            yield f"{verb}: no failure destination"
        elif "OnFailureDestinationDeliveredEventCount" not in _watched(templates, "EventSourceMappingUUID", source):
            yield f"{verb}: no alarm on what goes to its failure destination"
    kept = {
        config.properties["FunctionName"]["Ref"]
        for config in templates.every("AWS::Lambda::EventInvokeConfig")
        if config.properties.get("DestinationConfig", {}).get("OnFailure")
    }
    for permission in templates.every("AWS::Lambda::Permission"):
        invoked = templates.function_of(permission.properties["FunctionName"])
        if permission.properties["Principal"] in ASYNCHRONOUS and invoked not in kept:
            yield f"{verbs[invoked]}: no failure destination"


def every_queue_gives_up_into_another(templates: Templates) -> Complaints:
    """What a queue gives up goes to another queue, which has an alarm and keeps messages as long as AWS does."""
    queues = {queue.name: queue.properties for queue in templates.every("AWS::SQS::Queue")}
    given_up = {
        _referred(queue["RedrivePolicy"]["deadLetterTargetArn"]): name
        for name, queue in queues.items()
        if "RedrivePolicy" in queue
    }
    watched = {
        _referred(one["Value"])
        for alarm in templates.every("AWS::CloudWatch::Alarm")
        for one in alarm.properties.get("Dimensions", [])
        if one["Name"] == "QueueName"
    }
    for name, queue in queues.items():
        if name not in given_up and "RedrivePolicy" not in queue:
            yield f"{name}: has no queue for what it gives up"
        if name in given_up and name not in watched:
            yield f"{name}: no alarm on what {given_up[name]} gives up"
        if name in given_up and queue["MessageRetentionPeriod"] != 14 * 24 * 3600:
            yield f"{name}: does not keep what was given up for 14 days"


def every_alarm_is_heard_and_understood(templates: Templates) -> Complaints:
    """Every alarm says what it means, sends to its topic and states how it treats missing data."""
    parts = {name for outage in OUTAGES for sign in outage.signs if isinstance(sign, tuple) for name in sign}
    for name, alarm in templates.alarms().items():
        for actions in ("AlarmActions", "OKActions"):
            found = alarm.properties.get(actions, [])
            silent = name in parts or heading_of(name).startswith("release-")
            if not all("OperationsTopic" in str(action) for action in found or [""]) and (found or not silent):
                yield f"{alarm.name}: {actions} do not reach the topic of tickets"
        for said in ("AlarmDescription", "TreatMissingData"):
            if not alarm.properties.get(said):
                yield f"{alarm.name}: no {said}"


def every_outage_pages(templates: Templates) -> Complaints:
    """Every outage pages when it begins and ends, but for one that only excuses others, and names alarms that exist."""
    alarms = {alarm.properties["AlarmName"].removeprefix("sluice-proof-"): alarm for alarm in templates.outages()}
    known = {"sluice-proof-" + name for name in (*templates.alarms(), *alarms)}
    for outage in OUTAGES:
        properties = alarms[outage.name].properties if outage.name in alarms else {}
        for actions in ("AlarmActions", "OKActions"):
            if ("OperationsPages" in str(properties.get(actions))) != outage.pages:
                yield f"{outage.name}: {actions} do not fit its severity"
        named = set(re.findall(r'ALARM\("([^"]+)"\)', properties.get("AlarmRule", "")))
        for name in (named | {properties.get("ActionsSuppressor", "")}) - known - {""}:
            yield f"{outage.name}: no alarm {name}"


def every_bucket_has_an_end_for_what_is_in_it(templates: Templates) -> Complaints:
    """Every bucket deletes objects that are not replaced in place, after some time, and uploads never finished."""
    for bucket in templates.every("AWS::S3::Bucket"):
        rules = bucket.properties.get("LifecycleConfiguration", {}).get("Rules", [])
        enabled = [rule for rule in rules if rule["Status"] == "Enabled"]
        for end in ("ExpirationInDays", "AbortIncompleteMultipartUpload"):
            if end == "ExpirationInDays" and REPLACED in bucket.name:
                continue
            if not any(end in rule for rule in enabled):
                yield f"{bucket.name}: no {end}"


def what_is_retained_has_no_fixed_name(templates: Templates) -> Complaints:
    """What survives its stack does not block the next one: a name can be taken once."""
    for resource in templates.every():
        if {"Retain", "Snapshot"} & {resource.policies["DeletionPolicy"], resource.policies["UpdateReplacePolicy"]}:
            for name, value in resource.properties.items():
                if name.endswith(("Name", "Identifier")) and name not in NAMES_WITHIN and isinstance(value, str):
                    yield f"{resource.name}: is kept under the fixed {name} {value}"


def every_stack_has_room(templates: Templates) -> Complaints:
    """CloudFormation takes no stack with more resources than so many; what comes next must still fit."""
    for stack in templates.files:
        found = len(templates.template(stack)["Resources"])
        if found > MOST_RESOURCES:
            yield f"{stack}: has {found} resources of {MOST_RESOURCES}; CloudFormation takes 500"


CONVENTIONS: tuple[Callable[[Templates], Complaints], ...] = (
    names_mirror,
    every_function_is_built_by_its_construct,
    every_function_is_told_what_its_code_reads,
    every_consumer_has_its_event_source,
    every_log_expires,
    every_function_is_started,
    every_function_is_bounded,
    concurrency_adds_up,
    every_function_is_watched,
    every_consumer_is_watched,
    every_metric_of_ours_is_registered,
    every_failure_has_somewhere_to_go,
    every_queue_gives_up_into_another,
    every_alarm_is_heard_and_understood,
    every_outage_pages,
    every_bucket_has_an_end_for_what_is_in_it,
    what_is_retained_has_no_fixed_name,
    every_stack_has_room,
)


def _watched(templates: Templates, dimension: str, resource: Resource) -> set[str]:
    """Return the metrics of a resource that alarms read, always and not for one version."""
    wanted = {"Name": dimension, "Value": {"Ref": resource.name}}
    return {
        alarm.properties["MetricName"]
        for alarm in templates.every("AWS::CloudWatch::Alarm")
        if wanted in alarm.properties.get("Dimensions", [])
        and "ExecutedVersion" not in str(alarm.properties["Dimensions"])
    }


def _awaited(templates: Templates) -> set[str]:
    """Return the functions whose callers wait for an answer: the API's, and a deployment's."""
    awaited = {
        templates.function_of(permission.properties["FunctionName"])
        for permission in templates.every("AWS::Lambda::Permission")
        if permission.properties["Principal"] == "apigateway.amazonaws.com"
    }
    awaited |= {
        templates.function_of(trigger.properties["HandlerArn"]) for trigger in templates.every("Custom::Trigger")
    }
    return awaited


def _referred(value: Any) -> str:
    """Return the resource that a value refers to."""
    name = value["Ref"] if "Ref" in value else value["Fn::GetAtt"][0]
    return str(name)
