"""Roles that may ask the API: each role of people whose policies allow routes gets an access key of this start.

A function signs with the key that it has for all of AWS.

Statements about anything but the API have no effect here (those of functions' roles are read in grants.py); a statement
about the API that the model cannot evaluate stops the start.
"""

import secrets
import string
from collections.abc import Iterator, Mapping
from typing import Any, Literal, cast

from local import overrides
from local.models.config import AccessKeyConfig, PrincipalConfig, StatementConfig
from local.models.iam import INVOKE
from local.models.policies import covers_action
from local.template import Assembly, Resolver, Resource, TemplateError

#: What outside tools sign with to be the admin, and what the emulated AWS takes; that one takes any.
ADMIN = AccessKeyConfig("local", "local")

_EVALUATED = {"Sid", "Effect", "Action", "Resource"}


def read_principals(assembly: Assembly, resolver: Resolver) -> list[PrincipalConfig]:
    """Return the principals of the templates, each with new access keys."""
    for policy in assembly.resources("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"):
        if resolver.exists(policy) and list(_statements(resolver, policy, policy.properties["PolicyDocument"])):
            raise TemplateError(
                f"{policy} has a statement about {INVOKE}; only those in a role's Policies are modelled"
            )
    roles = [each for each in assembly.resources("AWS::IAM::Role") if resolver.exists(each)]
    functions = dict(_functions(assembly, resolver))
    principals = [_principal(resolver, each, functions.get(each.logical_id)) for each in roles]
    return [each for each in principals if any(statement.effect == "Allow" for statement in each.statements)]


def purpose(role: str) -> str:
    """Return what a role is for: what its name says behind the stage."""
    return role.split("-", 2)[-1]


def _functions(assembly: Assembly, resolver: Resolver) -> Iterator[tuple[str, str]]:
    for function in assembly.resources("AWS::Lambda::Function"):
        match function.properties.get("Role"):
            case {"Fn::GetAtt": [str(role), *_]}:
                yield role, str(resolver.value({"Ref": function.logical_id}, function.stack, str(function)))


def _principal(resolver: Resolver, role: Resource, function: str | None) -> PrincipalConfig:
    for managed in resolver.property(role, "ManagedPolicyArns", []):
        if ":policy/service-role/" not in managed:
            raise TemplateError(f"{role} ManagedPolicyArns has {managed}; nothing here knows what that allows")

    def attribute(name: str) -> str:
        return str(resolver.value({"Fn::GetAtt": [role.logical_id, name]}, role.stack, str(role)))

    name = str(resolver.value({"Ref": role.logical_id}, role.stack, str(role)))
    return PrincipalConfig(
        role=name,
        arn=attribute("Arn"),
        id=attribute("RoleId"),
        keys=[
            _new_key() if function is None else AccessKeyConfig(overrides.access_key(function), overrides.SECRET_KEY),
            *([ADMIN] if function is None and purpose(name) == "admin" else []),
        ],
        function=function is not None,
        statements=[
            statement
            for policy in role.properties.get("Policies", [])
            for statement in _statements(resolver, role, policy["PolicyDocument"])
        ],
    )


def _statements(resolver: Resolver, resource: Resource, document: Mapping[str, Any]) -> Iterator[StatementConfig]:
    """Yield a policy's statements about the API."""
    for statement in _listed(document["Statement"]):
        if "NotAction" in statement:
            raise _not_evaluated(resource, ["NotAction"])
        actions = _listed(resolver.value(statement["Action"], resource.stack, f"{resource} Action"))
        if not any(covers_action(each, INVOKE) for each in actions):
            continue
        if unknown := sorted(set(statement) - _EVALUATED):
            raise _not_evaluated(resource, unknown)
        resources = _listed(resolver.value(statement["Resource"], resource.stack, f"{resource} Resource"))
        if any("${" in each for each in resources):
            raise _not_evaluated(resource, ["policy variables"])
        effect = statement["Effect"]
        if effect not in ("Allow", "Deny"):
            raise TemplateError(f"{resource} has a statement whose Effect is {effect!r}")
        yield StatementConfig(cast("Literal['Allow', 'Deny']", effect), actions, resources)


def _not_evaluated(resource: Resource, elements: list[str]) -> TemplateError:
    return TemplateError(
        f"{resource} has a policy with {', '.join(elements)}, which the model of IAM does not evaluate"
    )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _new_key() -> AccessKeyConfig:
    identity = "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(16))
    return AccessKeyConfig(f"AKIA{identity}", secrets.token_urlsafe(30))
