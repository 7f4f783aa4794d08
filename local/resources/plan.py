"""What a set of templates asks for, resolved against the services that run here."""

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from local.models.config import PrincipalConfig
from local.resources.attributes import attributes
from local.resources.known import provided_by_cdk
from local.resources.principals import read_principals
from local.resources.services import Services
from local.template import Assembly, Resolver, Resource, TemplateError

_HASH = re.compile(r"[0-9A-F]{8}$")

__all__ = ["Plan", "Services", "Topic", "broker_settings", "brokers_needed", "resolve"]


@dataclass(frozen=True)
class Topic:
    """A Kafka topic as its template has it."""

    name: str
    partitions: int
    replication: int
    settings: Mapping[str, str]


@dataclass(frozen=True)
class Plan:
    """A stack's templates with every reference resolvable; what it names, tests and tools may look for."""

    assembly: Assembly
    services: Services
    resolver: Resolver
    principals: Sequence[PrincipalConfig]
    """Roles that may use the API's signed routes, with the access keys of this start."""

    @property
    def buckets(self) -> dict[str, str]:
        """Bucket names by logical id, without the hash that ends it ("LakeBucketsRaw")."""
        return {_HASH.sub("", each.logical_id): self.name(each) for each in self.all("AWS::S3::Bucket")}

    @property
    def functions(self) -> list[str]:
        """Names of the product's own functions."""
        return [self.name(each) for each in self.function_resources()]

    @property
    def delivery_streams(self) -> list[str]:
        """Names of the delivery streams."""
        return [self.name(each) for each in self.all("AWS::KinesisFirehose::DeliveryStream")]

    @property
    def topics(self) -> list[Topic]:
        """Every topic, with the partitions, replication and settings it asks for."""
        return [
            Topic(
                name=self.resolver.required(each, "TopicName"),
                partitions=int(self.resolver.required(each, "PartitionCount")),
                replication=int(self.resolver.required(each, "ReplicationFactor")),
                settings=_topic_settings(each, self.resolver.required(each, "Configs")),
            )
            for each in self.all("AWS::MSK::Topic")
        ]

    @property
    def databases(self) -> list[str]:
        """Names of the databases the server has to have."""
        return [str(self.resolver.required(each, "DBName")) for each in self.all("AWS::RDS::DBInstance")]

    @property
    def triggers(self) -> list[str]:
        """Names of the functions a deployment invokes once, in the templates' order."""
        handlers = [str(self.resolver.required(each, "HandlerArn")) for each in self.all("Custom::Trigger")]
        return [function_name(arn) for arn in handlers]

    def function_resources(self) -> list[Resource]:
        """The product's own functions."""
        return [each for each in self.all("AWS::Lambda::Function") if not provided_by_cdk(each)]

    def name(self, resource: Resource) -> str:
        """What `Ref` answers for a resource: its physical name."""
        return str(self.resolver.value({"Ref": resource.logical_id}, resource.stack, str(resource)))

    def attribute(self, resource: Resource, name: str) -> Any:
        """What `Fn::GetAtt` answers for a resource."""
        return self.resolver.value({"Fn::GetAtt": [resource.logical_id, name]}, resource.stack, str(resource))

    def all(self, *types: str) -> list[Resource]:
        """Every resource of these types whose condition holds."""
        return [each for each in self.assembly.resources(*types) if self.resolver.exists(each)]


def function_name(reference: str) -> str:
    """The function's name, from the name itself or from an ARN of the function or of one of its versions."""
    return reference.rpartition(":function:")[2].split(":")[0]


def resolve(assembly: Assembly, services: Services) -> Plan:
    """Resolves the templates against the services; they need not run yet, but their addresses are fixed."""
    resolver = Resolver(assembly, attributes(assembly, services), services.region)
    return Plan(assembly, services, resolver, read_principals(assembly, resolver))


def brokers_needed(assembly: Assembly) -> int:
    """How many brokers the topics' replication asks for."""
    return max((int(each.properties["ReplicationFactor"]) for each in assembly.resources("AWS::MSK::Topic")), default=1)


def broker_settings(assembly: Assembly) -> dict[str, str]:
    """The server properties the cluster's configuration sets, for every local broker to have too."""
    settings: dict[str, str] = {}
    for resource in assembly.resources("AWS::MSK::Configuration"):
        settings.update(_lines(resource, "ServerProperties", resource.properties["ServerProperties"]))
    return settings


def _topic_settings(resource: Resource, encoded: str) -> dict[str, str]:
    """MSK takes a topic's settings as a JSON object in base64."""
    try:
        settings = json.loads(base64.b64decode(encoded, validate=True))
    except ValueError as error:
        raise TemplateError(f"{resource} Configs is no JSON in base64: {error}") from error
    return {str(name): str(value) for name, value in settings.items()}


def _lines(resource: Resource, path: str, text: str) -> dict[str, str]:
    settings = {}
    for line in filter(None, (line.strip() for line in text.splitlines())):
        name, separator, value = line.partition("=")
        if not separator:
            raise TemplateError(f"{resource} {path} has the line {line!r}, which is not name=value")
        settings[name.strip()] = value.strip()
    return settings
