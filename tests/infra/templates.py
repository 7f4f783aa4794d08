"""Synthesized templates, as tests read them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from infra.profiles import profile_named
from infra.profiles.profile import Profile
from infra.stacks import define
from sluice.edge.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
STACKS = ("network", "data", "pipeline", "background")
Read = TypeVar("Read", bound=Settings)


@dataclass(frozen=True)
class Resource:
    """One resource of one stack."""

    stack: str
    name: str
    type: str
    properties: dict[str, Any]
    policies: dict[str, Any]


@cache
def _read_resources(stack: str, file: Path) -> tuple[Resource, ...]:
    """Read a stack's resources: once, because a template is large and nearly every test asks."""
    return tuple(
        Resource(
            stack,
            name,
            body["Type"],
            body.get("Properties", {}),
            {key: body.get(key) for key in ("DeletionPolicy", "UpdateReplacePolicy", "DependsOn")},
        )
        for name, body in json.loads(file.read_text())["Resources"].items()
    )


@dataclass(frozen=True)
class Templates:
    """The templates of one deployment."""

    profile: Profile
    files: dict[str, Path]

    def template(self, stack: str) -> dict[str, Any]:
        """Return one stack's template, which a test may change."""
        found: dict[str, Any] = json.loads(self.files[stack].read_text())
        return found

    def every(self, kind: str | None = None) -> Iterator[Resource]:
        """Return all resources, or those of one type. All tests share them, so none may change them."""
        for stack, file in self.files.items():
            yield from (each for each in _read_resources(stack, file) if kind in (None, each.type))

    def only(self, kind: str) -> Resource:
        """Return the one resource of a type."""
        (found,) = self.every(kind)
        return found

    def named(self, name: str) -> Resource:
        """Return the resource with a logical name."""
        (found,) = (resource for resource in self.every() if resource.name == name)
        return found

    def earlier(self, stack: str) -> set[str]:
        """Return the stacks that are deployed before one."""
        manifest = json.loads((self.files[stack].parent / "manifest.json").read_text())
        names = {f"sluice-proof-{each}": each for each in self.files}
        found: set[str] = set()
        waiting = [stack]
        while waiting:
            needed = manifest["artifacts"][f"sluice-proof-{waiting.pop()}"].get("dependencies", ())
            new = {names[each] for each in needed if each in names} - found
            found |= new
            waiting += new
        return found

    def waits_for(self, later: Resource, earlier: Resource) -> bool:
        """Whether a deployment says that it creates or updates one resource after another."""
        return earlier.name in (later.policies["DependsOn"] or ()) or earlier.stack in self.earlier(later.stack)

    def aliases(self) -> dict[str, Resource]:
        """Return the aliases by the verbs of their functions."""
        verbs = {function.name: verb for verb, function in self.functions().items()}
        return {verbs[alias.properties["FunctionName"]["Ref"]]: alias for alias in self.every("AWS::Lambda::Alias")}

    def function_of(self, value: Any) -> str:
        """Return the function's name in its template that a value refers to: itself, or by its alias or version."""
        name = str(value["Ref"] if "Ref" in value else value["Fn::GetAtt"][0])
        for kind in ("AWS::Lambda::Alias", "AWS::Lambda::Version"):
            for qualified in self.every(kind):
                if qualified.name == name:
                    return str(qualified.properties["FunctionName"]["Ref"])
        return name

    def delivery(self) -> dict[str, Any]:
        """Return where and how the delivery streams write, which is the same for all but for their logs."""
        streams = [each.properties for each in self.every("AWS::KinesisFirehose::DeliveryStream")]
        assert len(streams) == self.profile.delivery.streams
        assert len({stream["DeliveryStreamName"] for stream in streams}) == len(streams)
        first, *others = [{**each["ExtendedS3DestinationConfiguration"]} for each in streams]
        logs = [each.pop("CloudWatchLoggingOptions")["Enabled"] for each in (first, *others)]
        assert all(logs)
        assert all(other == first for other in others)
        return first

    def sources(self) -> dict[str, Resource]:
        """Return the event sources of topics by the consumers they poll for."""
        return {
            source.properties["AmazonManagedKafkaEventSourceConfig"]["ConsumerGroupId"]: source
            for source in self.every("AWS::Lambda::EventSourceMapping")
            if "Topics" in source.properties
        }

    def queue_sources(self) -> list[Resource]:
        """Return the event sources of queues."""
        return [each for each in self.every("AWS::Lambda::EventSourceMapping") if "Topics" not in each.properties]

    def alarms(self) -> dict[str, Resource]:
        """Return the alarms by their names without the stage."""
        return {
            alarm.properties["AlarmName"].removeprefix("sluice-proof-"): alarm
            for alarm in self.every("AWS::CloudWatch::Alarm")
        }

    def outages(self) -> list[Resource]:
        """Return the alarms over other alarms."""
        return list(self.every("AWS::CloudWatch::CompositeAlarm"))

    def functions(self) -> dict[str, Resource]:
        """Return our own functions by their verbs."""
        prefix = "sluice-proof-"
        return {
            function.properties["FunctionName"].removeprefix(prefix): function
            for function in self.every("AWS::Lambda::Function")
            if "FunctionName" in function.properties
        }

    def variables(self, verb: str) -> dict[str, str]:
        """Return a function's environment; what only a deployment knows is "1", and the region is Lambda's."""
        found = self.functions()[verb].properties["Environment"]["Variables"]
        return {name: value if isinstance(value, str) else "1" for name, value in found.items()} | {"AWS_REGION": "x"}

    def settings(self, verb: str, struct: type[Read]) -> Read:
        """Return a function's settings as its code reads them."""
        return struct.from_environ(self.variables(verb))

    def statements(self, verb: str) -> list[dict[str, Any]]:
        """Return what a function may do, statement by statement."""
        role = self.named(self.functions()[verb].properties["Role"]["Fn::GetAtt"][0])
        (policy,) = role.properties["Policies"]
        found: list[dict[str, Any]] = policy["PolicyDocument"]["Statement"]
        return found

    def granted(self, verb: str) -> dict[str, list[str]]:
        """Return the actions that a function may take, with their resources."""
        found: dict[str, list[str]] = {}
        for statement in self.statements(verb):
            for action in listed(statement["Action"]):
                found.setdefault(action, []).extend(json.dumps(each) for each in listed(statement["Resource"]))
        return found


def listed(value: Any) -> list[Any]:
    """Return a list, which a template writes as its one member where it has one."""
    return value if isinstance(value, list) else [value]


def context(profile: str, **changed: object) -> dict[str, object]:
    """Return the app's context, as cdk.json has it, for a profile."""
    defaults: dict[str, object] = json.loads((ROOT / "cdk.json").read_text())["context"]
    return {**defaults, "stage": "proof", "profile": profile, **changed}


def synthesize(profile: str, outdir: Path) -> Templates:
    """Synthesize a deployment of a profile."""
    define(context(profile), outdir=str(outdir)).synth()
    files = {stack: outdir / f"sluice-proof-{stack}.template.json" for stack in STACKS}
    return Templates(profile_named(profile), files)
