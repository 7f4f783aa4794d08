"""What `Ref` and `Fn::GetAtt` answer for the resources of a local stack."""

import uuid
from collections.abc import Iterator
from typing import Any

from local.resources.services import Services
from local.template import ACCOUNT, Assembly, Resolver, Resource


def attributes(assembly: Assembly, services: Services) -> dict[tuple[str, str, str], Any]:
    """Every attribute that a resource of these templates has here."""
    known: dict[tuple[str, str, str], Any] = {}
    resolver = Resolver(assembly, known, services.region)

    def learn(resource: Resource, found: dict[str, Any]) -> None:
        known.update({(resource.stack, resource.logical_id, name): value for name, value in found.items()})

    for resource in assembly.resources():
        learn(resource, dict(_own(resource, resolver, services)))
    for resource in assembly.resources("AWS::Lambda::Version"):
        function = resolver.required(resource, "FunctionName")
        arn = f"arn:aws:lambda:{resolver.region(resource.stack)}:{ACCOUNT}:function:{function}"
        learn(resource, {"Ref": f"{arn}:1", "FunctionArn": f"{arn}:1", "Version": "1"})
    for resource in assembly.resources("AWS::Lambda::Alias"):
        function, alias = (resolver.required(resource, name) for name in ("FunctionName", "Name"))
        arn = f"arn:aws:lambda:{resolver.region(resource.stack)}:{ACCOUNT}:function:{function}:{alias}"
        learn(resource, {"Ref": arn, "AliasArn": arn})
    for resource in assembly.resources("AWS::SecretsManager::SecretTargetAttachment"):
        learn(resource, {"Ref": resolver.required(resource, "SecretId")})
    return known


def _own(resource: Resource, resolver: Resolver, services: Services) -> Iterator[tuple[str, Any]]:
    """Attributes that depend on no other resource."""
    generated = f"{resource.stack}-{resource.logical_id}"
    region = resolver.region(resource.stack)

    def arn(service: str, name: str) -> str:
        return f"arn:aws:{service}:{region}:{ACCOUNT}:{name}"

    def named(path: str, default: str = generated) -> str:
        return str(resolver.property(resource, path, default))

    match resource.type:
        case "AWS::IAM::Role":
            name = named("RoleName", generated[:64])
            role = f"arn:aws:iam::{ACCOUNT}:role{named('Path', '/')}{name}"
            yield from {
                "Ref": name,
                "Arn": role,
                "RoleId": f"AROA{uuid.UUID(_identity(resource)).hex[:17].upper()}",
            }.items()
        case "AWS::S3::Bucket":
            name = named("BucketName", generated.lower()[:63])
            yield from {"Ref": name, "Arn": f"arn:aws:s3:::{name}"}.items()
        case "AWS::KMS::Key":
            yield from {"Ref": _identity(resource), "Arn": arn("kms", f"key/{_identity(resource)}")}.items()
        case "AWS::KMS::Alias":
            yield "Ref", named("AliasName")
        case "AWS::Glue::Database":
            yield "Ref", named("DatabaseName", named("DatabaseInput.Name"))
        case "AWS::Glue::Table":
            yield "Ref", named("TableInput.Name")
        case "AWS::SecretsManager::Secret":
            secret = arn("secretsmanager", f"secret:{named('Name')}")
            yield from {"Ref": secret, "Id": secret}.items()
        case "AWS::SNS::Topic":
            topic = arn("sns", named("TopicName"))
            yield from {"Ref": topic, "TopicArn": topic, "TopicName": named("TopicName")}.items()
        case "AWS::SQS::Queue":
            name = named("QueueName", generated[:80])
            url = f"{services.aws}/{ACCOUNT}/{name}"
            yield from {"Ref": url, "QueueUrl": url, "Arn": arn("sqs", name), "QueueName": name}.items()
        case "AWS::Athena::WorkGroup":
            yield "Ref", named("Name")
        case "AWS::MSK::Cluster":
            cluster = arn("kafka", f"cluster/{named('ClusterName')}/{_identity(resource)}")
            yield from {"Ref": cluster, "Arn": cluster}.items()
        case "AWS::MSK::Topic":
            yield "Ref", named("TopicName")
        case "AWS::RDS::DBInstance":
            yield from {
                "Ref": generated.lower(),
                "Endpoint.Address": services.database_host,
                "Endpoint.Port": str(services.database_port),
                "MasterUserSecret.SecretArn": arn("secretsmanager", f"secret:rds!{generated}"),
            }.items()
        case "AWS::ElastiCache::ServerlessCache":
            yield from {
                "Ref": named("ServerlessCacheName"),
                "Endpoint.Address": services.cache_host,
                "Endpoint.Port": str(services.cache_port),
            }.items()
        case "AWS::Lambda::Function":
            name = named("FunctionName", generated[:64])
            yield from {"Ref": name, "Arn": arn("lambda", f"function:{name}")}.items()
        case "AWS::Lambda::LayerVersion":
            yield "Ref", arn("lambda", f"layer:{generated}:1")
        case "AWS::Lambda::EventSourceMapping":
            yield from {"Ref": _identity(resource), "Id": _identity(resource)}.items()
        case "AWS::Scheduler::Schedule":
            yield "Ref", named("Name")
        case "AWS::StepFunctions::StateMachine":
            name = named("StateMachineName", generated[:80])
            machine = arn("states", f"stateMachine:{name}")
            yield from {"Ref": machine, "Arn": machine, "Name": name}.items()
        case "AWS::ApiGatewayV2::Api":
            api = uuid.UUID(_identity(resource)).hex[:10]
            yield from {"Ref": api, "ApiId": api, "ApiEndpoint": services.http_api}.items()
        case "AWS::ApiGatewayV2::Integration" | "AWS::ApiGatewayV2::Route":
            yield "Ref", uuid.UUID(_identity(resource)).hex[:7]
        case "AWS::ApiGatewayV2::Stage":
            yield "Ref", named("StageName")
        case "AWS::KinesisFirehose::DeliveryStream":
            name = named("DeliveryStreamName", generated[:64])
            yield from {"Ref": name, "Arn": arn("firehose", f"deliverystream/{name}")}.items()
        case "Custom::KafkaBootstrapBrokers":
            yield "BootstrapBrokerStringSaslIam", services.kafka


def _identity(resource: Resource) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{resource.stack}/{resource.logical_id}"))
