"""Synthesized CloudFormation templates, read and resolved without AWS.

An `Assembly` is what `python app.py` writes: a template for each stack and the directories of its assets. A `Resolver`
turns a property into plain values the way CloudFormation would, given what the resources' attributes are here. What it
cannot resolve is an error that names the resource and the property: a silent empty string would start a stack that
differs from the one that deploys.
"""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: What `Ref` and `Fn::GetAtt` answer: (stack, logical id, attribute) to value, `Ref` itself being the attribute "Ref".
Attributes = Mapping[tuple[str, str, str], Any]

ACCOUNT = "123456789012"  # moto's own account, so that the ARNs in templates and in the emulated services agree

_PLACEHOLDER = re.compile(r"\$\{(!?)([^}]+)\}")
_NO_VALUE = object()


class TemplateError(Exception):
    """A template says something that cannot be resolved here; the message names where."""


@dataclass(frozen=True)
class Resource:
    """One resource of a template, its properties unresolved."""

    stack: str
    logical_id: str
    type: str
    properties: Mapping[str, Any]
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.stack}/{self.logical_id} ({self.type})"


@dataclass(frozen=True)
class Stack:
    """One template with the region it is meant for (None where the template leaves it open)."""

    name: str
    template: Mapping[str, Any]
    region: str | None = None


@dataclass(frozen=True)
class Assembly:
    """All stacks of an app and where their assets lie."""

    stacks: Mapping[str, Stack]
    assets: Mapping[str, Path] = field(default_factory=dict)

    @classmethod
    def load(cls, directory: Path) -> "Assembly":
        """Reads a cloud assembly directory (`cdk.out`) by its manifest."""
        stacks: dict[str, Stack] = {}
        assets: dict[str, Path] = {}
        _read(directory.resolve(), stacks, assets)
        if not stacks:
            raise TemplateError(f"{directory} holds no stack: synthesize first")
        return cls(stacks, assets)

    @classmethod
    def of(cls, templates: Mapping[str, Mapping[str, Any]], assets: Mapping[str, Path] | None = None) -> "Assembly":
        """An assembly of templates held in memory."""
        return cls({name: Stack(name, template) for name, template in templates.items()}, assets or {})

    def resources(self, *types: str) -> Iterator[Resource]:
        """Every resource (of the given types), stack by stack, in the order of the templates."""
        for stack in self.stacks.values():
            for logical_id, body in stack.template.get("Resources", {}).items():
                if types and body["Type"] not in types:
                    continue
                yield Resource(
                    stack.name, logical_id, body["Type"], body.get("Properties", {}), body.get("Metadata", {})
                )

    def asset(self, key: str) -> Path:
        """The directory or file that would be uploaded under this object key."""
        try:
            return self.assets[key]
        except KeyError:
            raise TemplateError(f"no asset has the object key {key}") from None


def _read(directory: Path, stacks: dict[str, Stack], assets: dict[str, Path]) -> None:
    manifest = json.loads((directory / "manifest.json").read_text())
    for identity, artifact in manifest.get("artifacts", {}).items():
        properties = artifact.get("properties", {})
        match artifact["type"]:
            case "aws:cloudformation:stack":
                template = json.loads((directory / properties["templateFile"]).read_text())
                region = artifact.get("environment", "").rpartition("/")[2]
                name = properties.get("stackName", identity)
                stacks[name] = Stack(name, template, None if region in ("", "unknown-region") else region)
            case "cdk:asset-manifest":
                for file in json.loads((directory / properties["file"]).read_text()).get("files", {}).values():
                    for destination in file["destinations"].values():
                        assets[destination["objectKey"]] = directory / file["source"]["path"]
            case "cdk:cloud-assembly":
                _read(directory / properties["directoryName"], stacks, assets)


class Resolver:
    """Resolves references across the stacks of one assembly."""

    def __init__(self, assembly: Assembly, attributes: Attributes, region: str) -> None:
        self._assembly = assembly
        self._attributes = attributes
        self._region = region
        self._exports: dict[str, tuple[str, Any]] = {}
        for stack in assembly.stacks.values():
            for output, body in stack.template.get("Outputs", {}).items():
                if "Export" in body:
                    name = self.value(body["Export"]["Name"], stack.name, f"{stack.name}/Outputs.{output}.Export.Name")
                    self._exports[name] = (stack.name, body["Value"])

    def region(self, stack: str) -> str:
        """The region a stack runs in."""
        return self._assembly.stacks[stack].region or self._region

    def exists(self, resource: Resource) -> bool:
        """Whether the resource's condition, if it has one, holds."""
        template = self._assembly.stacks[resource.stack].template
        condition = template["Resources"][resource.logical_id].get("Condition")
        return condition is None or self._condition({"Condition": condition}, resource.stack, str(resource))

    def property(self, resource: Resource, path: str, default: Any = None) -> Any:
        """One property, resolved; `path` is dotted, and the default stands in where any part of it is absent."""
        value: Any = resource.properties
        walked = ""
        for name in path.split("."):
            walked = f"{walked}.{name}".lstrip(".")
            if isinstance(value, Mapping) and _intrinsic(value):
                value = self.value(value, resource.stack, f"{resource} {walked}")
            if not isinstance(value, Mapping) or name not in value:
                return default
            value = value[name]
        value = self.value(value, resource.stack, f"{resource} {path}")
        return default if value is _NO_VALUE else value

    def required(self, resource: Resource, path: str) -> Any:
        """One property, resolved, that has to be there."""
        value = self.property(resource, path, _NO_VALUE)
        if value is _NO_VALUE:
            raise TemplateError(f"{resource} has no {path}")
        return value

    def value(self, value: Any, stack: str, where: str) -> Any:
        """Any template value, resolved; `where` names it in errors."""
        if isinstance(value, list):
            return [each for each in (self.value(each, stack, where) for each in value) if each is not _NO_VALUE]
        if not isinstance(value, Mapping):
            return value
        if not _intrinsic(value):
            resolved = {name: self.value(each, stack, f"{where}.{name}") for name, each in value.items()}
            return {name: each for name, each in resolved.items() if each is not _NO_VALUE}
        ((function, argument),) = value.items()
        return self._call(function, argument, stack, where)

    def _call(self, function: str, argument: Any, stack: str, where: str) -> Any:
        match function:
            case "Ref":
                return self._reference(argument, "Ref", stack, where)
            case "Fn::GetAtt":
                logical_id, attribute = argument.split(".", 1) if isinstance(argument, str) else argument
                return self._reference(logical_id, self.value(attribute, stack, where), stack, where)
            case "Fn::Join":
                separator, parts = argument
                return separator.join(str(part) for part in self._list(parts, stack, where))
            case "Fn::Sub":
                return self._substitute(argument, stack, where)
            case "Fn::Select":
                index, parts = argument
                return self._list(parts, stack, where)[int(index)]
            case "Fn::Split":
                separator, text = argument
                return str(self.value(text, stack, where)).split(separator)
            case "Fn::Base64":
                return base64.b64encode(str(self.value(argument, stack, where)).encode()).decode()
            case "Fn::ImportValue":
                return self._import(self.value(argument, stack, where), where)
            case "Fn::If":
                condition, yes, no = argument
                holds = self._condition({"Condition": condition}, stack, where)
                return self.value(yes if holds else no, stack, where)
            case _:
                raise TemplateError(f"{where}: {function} is not resolved here")

    def _list(self, value: Any, stack: str, where: str) -> list[Any]:
        resolved = self.value(value, stack, where)
        if not isinstance(resolved, list):
            raise TemplateError(f"{where}: a list was expected, not {resolved!r}")
        return resolved

    def _reference(self, logical_id: str, attribute: str, stack: str, where: str) -> Any:
        pseudo = self._pseudo(logical_id, stack)
        if pseudo is not None:
            return pseudo
        found = self._attributes.get((stack, logical_id, attribute))
        if found is not None:
            return found
        template = self._assembly.stacks[stack].template
        parameter = template.get("Parameters", {}).get(logical_id)
        if parameter is not None and attribute == "Ref":
            if "Default" in parameter and not parameter["Type"].startswith("AWS::SSM"):
                return parameter["Default"]
            raise TemplateError(f"{where}: parameter {logical_id} has no value here")
        target = template.get("Resources", {}).get(logical_id)
        kind = target["Type"] if target else "no such resource"
        raise TemplateError(f"{where}: {attribute} of {logical_id} ({kind}) has no value here")

    def _pseudo(self, name: str, stack: str) -> Any:
        match name:
            case "AWS::Region":
                return self.region(stack)
            case "AWS::AccountId":
                return ACCOUNT
            case "AWS::Partition":
                return "aws"
            case "AWS::URLSuffix":
                return "amazonaws.com"
            case "AWS::StackName":
                return stack
            case "AWS::StackId":
                return f"arn:aws:cloudformation:{self.region(stack)}:{ACCOUNT}:stack/{stack}/local"
            case "AWS::NoValue":
                return _NO_VALUE
        return None

    def _substitute(self, argument: Any, stack: str, where: str) -> str:
        text, given = (argument, {}) if isinstance(argument, str) else argument

        def replaced(match: re.Match[str]) -> str:
            literal, name = match.groups()
            if literal:
                return "${" + name + "}"
            if name in given:
                return str(self.value(given[name], stack, where))
            logical_id, _, attribute = name.partition(".")
            return str(self._reference(logical_id, attribute or "Ref", stack, where))

        return _PLACEHOLDER.sub(replaced, text)

    def _import(self, name: str, where: str) -> Any:
        if name not in self._exports:
            raise TemplateError(f"{where}: no stack exports {name}")
        exporter, value = self._exports[name]
        return self.value(value, exporter, f"{where} (imported as {name})")

    def _condition(self, value: Any, stack: str, where: str) -> bool:
        ((function, argument),) = value.items()
        match function:
            case "Condition":
                return self._condition(self._assembly.stacks[stack].template["Conditions"][argument], stack, where)
            case "Fn::Equals":
                left, right = (self.value(each, stack, where) for each in argument)
                return bool(left == right)
            case "Fn::And":
                return all(self._condition(each, stack, where) for each in argument)
            case "Fn::Or":
                return any(self._condition(each, stack, where) for each in argument)
            case "Fn::Not":
                return not self._condition(argument[0], stack, where)
            case _:
                raise TemplateError(f"{where}: condition {function} is not resolved here")


def _intrinsic(value: Mapping[str, Any]) -> bool:
    (name, *more) = value or ("",)
    return not more and (name == "Ref" or name.startswith("Fn::"))
