"""Synthesized templates as tests ask about them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.profiles import profile_named
from infra.settings import Profile
from infra.stacks import define

ROOT = Path(__file__).resolve().parents[2]
STACKS = ("network", "data", "pipeline")


@dataclass(frozen=True)
class Resource:
    """One resource of one stack."""

    stack: str
    name: str
    type: str
    properties: dict[str, Any]
    policies: dict[str, Any]


@dataclass(frozen=True)
class Templates:
    """The templates of one deployment."""

    profile: Profile
    files: dict[str, Path]

    def template(self, stack: str) -> dict[str, Any]:
        """Return one stack's template."""
        found: dict[str, Any] = json.loads(self.files[stack].read_text())
        return found

    def every(self, kind: str | None = None) -> Iterator[Resource]:
        """Return all resources, or those of one type."""
        for stack in self.files:
            for name, body in self.template(stack)["Resources"].items():
                if kind in (None, body["Type"]):
                    policies = {key: body.get(key) for key in ("DeletionPolicy", "UpdateReplacePolicy", "DependsOn")}
                    yield Resource(stack, name, body["Type"], body.get("Properties", {}), policies)

    def only(self, kind: str) -> Resource:
        """Return the one resource of a type."""
        (found,) = self.every(kind)
        return found

    def named(self, name: str) -> Resource:
        """Return the resource with a logical name."""
        (found,) = (resource for resource in self.every() if resource.name == name)
        return found

    def sources(self) -> dict[str, Resource]:
        """Return the event sources by the consumers they poll for."""
        return {
            source.properties["AmazonManagedKafkaEventSourceConfig"]["ConsumerGroupId"]: source
            for source in self.every("AWS::Lambda::EventSourceMapping")
        }

    def alarms(self) -> dict[str, Resource]:
        """Return the alarms by their names without the stage."""
        return {
            alarm.properties["AlarmName"].removeprefix("sluice-proof-"): alarm
            for alarm in self.every("AWS::CloudWatch::Alarm")
        }

    def functions(self) -> dict[str, Resource]:
        """Return our own functions by their verbs."""
        prefix = "sluice-proof-"
        return {
            function.properties["FunctionName"].removeprefix(prefix): function
            for function in self.every("AWS::Lambda::Function")
            if "FunctionName" in function.properties
        }


def context(profile: str, **changed: object) -> dict[str, object]:
    """Return the app's context, as cdk.json has it, for a profile."""
    defaults: dict[str, object] = json.loads((ROOT / "cdk.json").read_text())["context"]
    return {**defaults, "stage": "proof", "profile": profile, **changed}


def synthesize(profile: str, outdir: Path) -> Templates:
    """Synthesize a deployment of a profile."""
    define(context(profile), outdir=str(outdir)).synth()
    files = {stack: outdir / f"sluice-proof-{stack}.template.json" for stack in STACKS}
    return Templates(profile_named(profile), files)
