"""What the roles of our functions allow them to ask of AWS's APIs, read from the templates."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, cast

from local import overrides
from local.models.config import GuardConfig, RoleConfig, StatementConfig
from local.models.policies import CONDITIONS
from local.resources.plan import Plan
from local.template import ACCOUNT, Resource, TemplateError

#: Services whose calls pass the local APIs. What else a role allows, Lambda does for the function, or the function's
#: own login does it: at Kafka, PostgreSQL and Valkey.
SERVICES = (
    "athena",
    "cloudwatch",
    "firehose",
    "glue",
    "kms",
    "lambda",
    "s3",
    "secretsmanager",
    "sns",
    "sqs",
    "states",
)

_EVALUATED = {"Action", "Condition", "Effect", "Resource", "Sid"}
_KEYS = {
    "AWS::SNS::Topic": ("TopicArn", "KmsMasterKeyId"),
    "AWS::StepFunctions::StateMachine": ("Arn", "EncryptionConfiguration.KmsKeyId"),
}


def guard(plan: Plan) -> GuardConfig:
    """Return the permissions of all functions, with the keys that are asked for in their names."""
    roles = {each.logical_id: each for each in plan.all("AWS::IAM::Role")}
    return GuardConfig(
        account=ACCOUNT,
        directory=str(plan.services.state.absolute() / "calls"),
        roles=[_role(plan, each, roles) for each in plan.function_resources()],
        keys=dict(_keys(plan)),
        aliases={plan.name(each): plan.resolver.required(each, "TargetKeyId") for each in plan.all("AWS::KMS::Alias")},
    )


def _role(plan: Plan, function: Resource, roles: Mapping[str, Resource]) -> RoleConfig:
    role = roles[function.properties["Role"]["Fn::GetAtt"][0]]
    documents = [policy["PolicyDocument"] for policy in role.properties["Policies"]]
    return RoleConfig(
        function=plan.name(function),
        access_key=overrides.access_key(plan.name(function)),
        statements=[each for document in documents for each in _statements(plan, role, document)],
    )


def _statements(plan: Plan, role: Resource, document: Mapping[str, Any]) -> Iterator[StatementConfig]:
    for statement in document["Statement"]:
        if unknown := sorted(set(statement) - _EVALUATED):
            raise TemplateError(f"{role} has a policy with {', '.join(unknown)}, which is not evaluated here")
        actions = [each for each in _listed(statement["Action"]) if each.partition(":")[0] in SERVICES]
        if not actions:
            continue

        def resolved(value: Any) -> Any:
            return plan.resolver.value(value, role.stack, f"{role} policy")

        conditions = {
            operator: {name: [str(one) for one in _listed(resolved(wanted))] for name, wanted in keys.items()}
            for operator, keys in statement.get("Condition", {}).items()
        }
        if unknown := sorted(set(conditions) - set(CONDITIONS)):
            raise TemplateError(f"{role} has a policy with {', '.join(unknown)}, which is not evaluated here")
        yield StatementConfig(
            effect=cast("Literal['Allow', 'Deny']", statement["Effect"]),
            actions=actions,
            resources=[str(resolved(each)) for each in _listed(statement["Resource"])],
            conditions=conditions,
        )


def _keys(plan: Plan) -> Iterator[tuple[str, str]]:
    for bucket in plan.all("AWS::S3::Bucket"):
        rules = plan.resolver.property(bucket, "BucketEncryption.ServerSideEncryptionConfiguration", [])
        for rule in rules:
            if key := rule["ServerSideEncryptionByDefault"].get("KMSMasterKeyID"):
                yield plan.attribute(bucket, "Arn"), key
    for kind, (arn, path) in _KEYS.items():
        for resource in plan.all(kind):
            if key := plan.resolver.property(resource, path):
                yield plan.attribute(resource, arn), key


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
