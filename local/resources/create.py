"""Creates what the templates ask for in the services that run here: topics, buckets, tables, state machines."""

import json
import secrets
from typing import Any

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from local.models.aws_client import aws_client
from local.resources.plan import Plan
from local.template import Resource, TemplateError

_CREATION_SECONDS = 30


def create_topics(plan: Plan) -> None:
    """Creates every topic with its partitions, replication and settings, and waits until the brokers have it."""
    wanted = [
        NewTopic(each.name, each.partitions, each.replication, config=dict(each.settings)) for each in plan.topics
    ]
    if not wanted:
        return
    admin = AdminClient({"bootstrap.servers": plan.services.kafka})
    for created in admin.create_topics(wanted, operation_timeout=_CREATION_SECONDS).values():
        created.result(timeout=_CREATION_SECONDS)


def create_aws(plan: Plan) -> None:
    """Creates buckets, keys that sign, the Glue catalog, secrets, machines, topics and queues in the emulation."""
    for bucket in plan.all("AWS::S3::Bucket"):
        _create_bucket(plan, bucket)
    _create_keys(plan)
    for database in plan.all("AWS::Glue::Database"):
        described = {**plan.resolver.required(database, "DatabaseInput"), "Name": plan.name(database)}
        _client(plan, "glue", database).create_database(DatabaseInput=described)
    for table in plan.all("AWS::Glue::Table"):
        _client(plan, "glue", table).create_table(
            DatabaseName=plan.resolver.required(table, "DatabaseName"),
            TableInput=plan.resolver.required(table, "TableInput"),
        )
    for secret in plan.all("AWS::SecretsManager::Secret"):
        _create_secret(plan, secret)
    for machine in plan.all("AWS::StepFunctions::StateMachine"):
        _create_state_machine(plan, machine)
    for topic in plan.all("AWS::SNS::Topic"):
        _create_sns_topic(plan, topic)
    # A queue's policy names the queue of its dead letters, which must exist before it.
    queues = plan.all("AWS::SQS::Queue")
    for queue in sorted(queues, key=lambda each: bool(plan.resolver.property(each, "RedrivePolicy"))):
        _create_queue(plan, queue)
    for subscription in plan.all("AWS::SNS::Subscription"):
        _subscribe(plan, subscription)


def _client(plan: Plan, service: str, resource: Resource) -> Any:
    return aws_client(service, plan.services.aws, plan.resolver.region(resource.stack))


def _create_bucket(plan: Plan, bucket: Resource) -> None:
    s3 = _client(plan, "s3", bucket)
    name = plan.name(bucket)
    region = plan.resolver.region(bucket.stack)
    elsewhere = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    locked = plan.resolver.property(bucket, "ObjectLockEnabled", False)
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=locked, **elsewhere)
    status = plan.resolver.property(bucket, "VersioningConfiguration.Status")
    if status:
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": status})
    lock = plan.resolver.property(bucket, "ObjectLockConfiguration")
    if lock:
        s3.put_object_lock_configuration(Bucket=name, ObjectLockConfiguration=lock)
    rules = plan.resolver.property(bucket, "LifecycleConfiguration.Rules", [])
    if rules:
        s3.put_bucket_lifecycle_configuration(
            Bucket=name, LifecycleConfiguration={"Rules": [_lifecycle_rule(rule, str(bucket)) for rule in rules]}
        )


def _lifecycle_rule(rule: dict[str, Any], where: str) -> dict[str, Any]:
    """CloudFormation's words for a rule, in those of the S3 API."""
    described: dict[str, Any] = {"Filter": {"Prefix": rule.get("Prefix", "")}}
    for name, value in rule.items():
        match name:
            case "Prefix":
                pass
            case "Id":
                described["ID"] = value
            case "Status" | "AbortIncompleteMultipartUpload" | "NoncurrentVersionExpiration":
                described[name] = value
            case "ExpirationInDays":
                described.setdefault("Expiration", {})["Days"] = int(value)
            case "ExpiredObjectDeleteMarker":
                described.setdefault("Expiration", {})["ExpiredObjectDeleteMarker"] = value
            case "Transitions":
                described["Transitions"] = [
                    {"StorageClass": each["StorageClass"], "Days": int(each["TransitionInDays"])} for each in value
                ]
            case _:
                raise TemplateError(f"{where} has a lifecycle rule with {name}, which is not created here")
    return described


def _create_keys(plan: Plan) -> None:
    """The emulation chooses a key's id: who uses one finds it by its alias."""
    created: dict[str, str] = {}
    for key in plan.all("AWS::KMS::Key"):
        usage = plan.resolver.property(key, "KeyUsage", "ENCRYPT_DECRYPT")
        if usage != "ENCRYPT_DECRYPT":
            made = _client(plan, "kms", key).create_key(KeyUsage=usage, KeySpec=plan.resolver.required(key, "KeySpec"))
            created[plan.attribute(key, "Arn")] = made["KeyMetadata"]["KeyId"]
    for alias in plan.all("AWS::KMS::Alias"):
        target = plan.resolver.required(alias, "TargetKeyId")
        if target in created:
            _client(plan, "kms", alias).create_alias(AliasName=plan.name(alias), TargetKeyId=created[target])


def _create_secret(plan: Plan, secret: Resource) -> None:
    value = plan.resolver.property(secret, "SecretString")
    generated = plan.resolver.property(secret, "GenerateSecretString")
    if generated is not None:
        password = secrets.token_urlsafe(24)
        template = json.loads(generated.get("SecretStringTemplate", "{}"))
        key = generated.get("GenerateStringKey")
        value = json.dumps({**template, key: password}) if key else password
    arn = plan.name(secret)
    _client(plan, "secretsmanager", secret).create_secret(Name=arn.rpartition(":")[2], SecretString=value or "")


def _create_sns_topic(plan: Plan, topic: Resource) -> None:
    names = ("ContentBasedDeduplication", "FifoTopic")
    given = {name: plan.resolver.property(topic, name) for name in names}
    _client(plan, "sns", topic).create_topic(
        Name=plan.attribute(topic, "TopicName"),
        Attributes={name: str(value).lower() for name, value in given.items() if value is not None},
    )


def _create_queue(plan: Plan, queue: Resource) -> None:
    names = ("FifoQueue", "MessageRetentionPeriod", "VisibilityTimeout")
    given = {name: plan.resolver.property(queue, name) for name in names}
    attributes = {name: str(value).lower() for name, value in given.items() if value is not None}
    letters = plan.resolver.property(queue, "RedrivePolicy")
    if letters:
        attributes["RedrivePolicy"] = json.dumps(letters)
    _client(plan, "sqs", queue).create_queue(QueueName=plan.attribute(queue, "QueueName"), Attributes=attributes)


def _subscribe(plan: Plan, subscription: Resource) -> None:
    protocol = plan.resolver.required(subscription, "Protocol")
    if protocol != "sqs":
        raise TemplateError(f"{subscription} subscribes by {protocol}; only queues are")
    raw = bool(plan.resolver.property(subscription, "RawMessageDelivery", False))
    _client(plan, "sns", subscription).subscribe(
        TopicArn=plan.resolver.required(subscription, "TopicArn"),
        Protocol=protocol,
        Endpoint=plan.resolver.required(subscription, "Endpoint"),
        Attributes={"RawMessageDelivery": str(raw).lower()},
    )


def _create_state_machine(plan: Plan, machine: Resource) -> None:
    kind = plan.resolver.property(machine, "StateMachineType", "STANDARD")
    if kind != "STANDARD":
        raise TemplateError(f"{machine} StateMachineType is {kind!r}; only 'STANDARD' is modelled")
    definition = str(plan.resolver.required(machine, "DefinitionString"))
    for name, value in plan.resolver.property(machine, "DefinitionSubstitutions", {}).items():
        definition = definition.replace(f"${{{name}}}", str(value))
    _client(plan, "stepfunctions", machine).create_state_machine(
        name=plan.attribute(machine, "Name"),
        definition=definition,
        roleArn=str(plan.resolver.required(machine, "RoleArn")),
    )
