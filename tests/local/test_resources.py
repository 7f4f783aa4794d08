"""What the local stack makes of the templates that deploy."""

import base64
import copy
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

# Before anything starts the CDK: it would validate the templates for seconds.
os.environ["CDK_VALIDATION"] = "false"

import msgspec
import pytest

from infra.api.roles import AUDIT, CHANGES, ON_CALL, READS, ROUTES
from infra.profiles import PROFILES
from local import overrides
from local.description import names_in
from local.models import config
from local.models.aws_client import aws_client
from local.models.policies import allows
from local.overrides import function_environment
from local.resources import (
    Plan,
    Services,
    UnknownTemplatePart,
    broker_settings,
    brokers_needed,
    check,
    create_aws,
    resolve,
    write_configs,
)
from local.resources.configure import event_source, firehose, http_api, lambdas, queue_source
from local.resources.create import _lifecycle_rule
from local.resources.known import KINDS, Treatment
from local.resources.principals import ADMIN, purpose
from local.template import Assembly, TemplateError
from sluice.core.consumers import CONSUMERS
from tests.infra.templates import synthesize
from tests.local.emulation import emulated_aws

KAFKA = "127.0.0.1:1,127.0.0.1:2,127.0.0.1:3"


def services(state: Path, aws: str = "http://127.0.0.1:6") -> Services:
    return Services(
        kafka=KAFKA,
        database_host="127.0.0.1",
        database_port=4,
        cache_host="127.0.0.1",
        cache_port=5,
        aws=aws,
        lambdas="http://127.0.0.1:7",
        http_api="http://127.0.0.1:8",
        firehose="http://127.0.0.1:9",
        athena="http://127.0.0.1:11",
        directory="http://127.0.0.1:10",
        receivers="127.0.0.1:7",
        state=state,
    )


@pytest.fixture(scope="module")
def assembly(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    directory = tmp_path_factory.mktemp("cdk")
    synthesize("test", directory)
    return Assembly.load(directory)


@pytest.fixture(scope="module")
def plan(assembly: Assembly, tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return resolve(assembly, services(tmp_path_factory.mktemp("state")))


@pytest.mark.parametrize("profile", list(PROFILES))
def test_every_profile_can_be_resolved_whole(profile: str, tmp_path: Path) -> None:
    synthesize(profile, tmp_path / "cdk")
    assembly = Assembly.load(tmp_path / "cdk")

    check(assembly)
    plan = resolve(assembly, services(tmp_path))
    assert plan.topics
    assert len(write_configs(plan, tmp_path / "models")) == 10


def test_every_decision_to_ignore_has_a_reason() -> None:
    for name, kind in KINDS.items():
        assert (kind.treatment is Treatment.IGNORED) == bool(kind.reason), name
        assert all(kind.ignored.values()), name
        assert not set(kind.handled) & set(kind.ignored), name


def changed(assembly: Assembly, kind: str, change: dict[str, Any]) -> Assembly:
    """The assembly with more in the properties of the first resource of a type."""
    found = next(assembly.resources(kind))
    templates = {name: copy.deepcopy(dict(stack.template)) for name, stack in assembly.stacks.items()}
    templates[found.stack]["Resources"][found.logical_id]["Properties"].update(change)
    return Assembly.of(templates, assembly.assets)


@pytest.mark.parametrize(
    ("kind", "change", "path"),
    [
        ("AWS::Lambda::EventSourceMapping", {"FilterCriteria": {}}, "FilterCriteria"),
        ("AWS::MSK::Topic", {"Surprise": 1}, "Surprise"),
        ("AWS::IAM::Role", {"PermissionsBoundary": "arn"}, "PermissionsBoundary"),
        ("AWS::ApiGatewayV2::Route", {"AuthorizationScopes": ["x"]}, "AuthorizationScopes"),
        ("AWS::ApiGatewayV2::Api", {"CorsConfiguration": {"AllowOrigins": ["*"]}}, "CorsConfiguration"),
        ("AWS::S3::Bucket", {"NotificationConfiguration": {}}, "NotificationConfiguration"),
        ("AWS::CloudWatch::Alarm", {"DatapointsToAlarm": 2}, "DatapointsToAlarm"),
        (
            "AWS::Lambda::EventSourceMapping",
            {"DestinationConfig": {"OnSuccess": {"Destination": "x"}}},
            "DestinationConfig.OnSuccess",
        ),
    ],
)
def test_an_unknown_property_stops_the_start_with_its_name(
    assembly: Assembly, kind: str, change: dict[str, Any], path: str
) -> None:
    found = next(assembly.resources(kind))

    with pytest.raises(UnknownTemplatePart) as refused:
        check(changed(assembly, kind, change))

    assert f"property {path} of {found}" in str(refused.value)


def test_an_unknown_type_stops_the_start_with_its_name(assembly: Assembly) -> None:
    templates = {name: stack.template for name, stack in assembly.stacks.items()}
    new = {"Resources": {"Bus": {"Type": "AWS::Events::EventBus"}}}

    with pytest.raises(UnknownTemplatePart, match=r"type AWS::Events::EventBus of more/Bus"):
        check(Assembly.of({**templates, "more": new}))


@pytest.mark.parametrize(
    ("kind", "change", "complaint"),
    [
        ("AWS::Lambda::EventSourceMapping", {"BisectBatchOnFunctionError": True}, "only False is modelled"),
        ("AWS::Lambda::EventSourceMapping", {"ProvisionedPollerConfig": {}}, "not in provisioned mode"),
        ("AWS::Lambda::EventSourceMapping", {"StartingPosition": "AT_TIMESTAMP"}, "starts at AT_TIMESTAMP"),
        ("AWS::ApiGatewayV2::Integration", {"PayloadFormatVersion": "1.0"}, "only '2.0' is modelled"),
        ("AWS::ApiGatewayV2::Route", {"AuthorizationType": "JWT"}, "only 'NONE' and 'AWS_IAM' are modelled"),
        ("AWS::ApiGatewayV2::Stage", {"RouteSettings": {"GET /none": {}}}, "routes that do not exist"),
        ("AWS::KinesisFirehose::DeliveryStream", {"DeliveryStreamType": "KinesisStreamAsSource"}, "only 'DirectPut'"),
    ],
)
def test_a_value_the_models_cannot_obey_stops_the_start(
    assembly: Assembly, tmp_path: Path, kind: str, change: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(TemplateError, match=complaint):
        write_configs(resolve(changed(assembly, kind, change), services(tmp_path)), tmp_path)


def test_the_models_read_what_is_written_for_them(plan: Plan, tmp_path: Path) -> None:
    files = write_configs(plan, tmp_path)

    assert config.read(config.LambdasConfig, files["lambdas"]) == lambdas(plan)
    assert config.read(config.HttpApiConfig, files["http_api"]) == http_api(plan)
    assert config.read(config.EventSourceConfig, files["event_source"]) == event_source(plan)
    assert config.read(config.FirehoseConfig, files["firehose"]) == firehose(plan)
    assert config.read(config.QueueSourceConfig, files["queue_source"]) == queue_source(plan)


def test_functions_see_the_running_services(plan: Plan) -> None:
    ingest, query = (
        next(each for each in lambdas(plan).functions if each.name.endswith(f"-{verb}")) for verb in ("ingest", "query")
    )

    assert ingest.environment["KAFKA_BOOTSTRAP"] == KAFKA
    assert (query.environment["DATABASE_HOST"], query.environment["DATABASE_PORT"]) == ("127.0.0.1", "4")
    assert (ingest.environment["CACHE_HOST"], ingest.environment["CACHE_PORT"]) == ("127.0.0.1", "5")
    assert (Path(ingest.directory) / "handler.py").exists()
    assert [(Path(layer) / "sluice").is_dir() for layer in ingest.layers] == [True]


def test_a_layer_that_others_publish_is_in_the_environment_and_an_unknown_one_stops_the_start(
    assembly: Assembly, tmp_path: Path
) -> None:
    def layered(arn: str) -> Plan:
        changed = copy.deepcopy(assembly)
        (tier,) = (
            each
            for each in changed.resources("AWS::Lambda::Function")
            if str(each.properties.get("FunctionName")).endswith("-tier")
        )
        cast("dict[str, Any]", tier.properties)["Layers"] = [arn]
        return resolve(changed, services(tmp_path))

    published = "arn:aws:lambda:eu-west-1:336392948345:layer:AWSSDKPandas-Python313-Arm64:12"
    tier = next(each for each in lambdas(layered(published)).functions if each.name.endswith("-tier"))
    assert tier.layers == []
    with pytest.raises(TemplateError, match="layer:Stranger:1 is in no template"):
        lambdas(layered("arn:aws:lambda:eu-west-1:336392948345:layer:Stranger:1"))


def test_only_the_products_functions_run(plan: Plan) -> None:
    assert {name.rpartition("-")[2] for name in plan.functions} >= {"ingest", "archive", "migrate"}
    assert all(each.runtime.startswith("python") for each in lambdas(plan).functions)


def test_workers_for_the_first_events_are_started_with_the_stack_and_no_others(plan: Plan) -> None:
    started = {each.name.rpartition("-")[2]: each.started for each in lambdas(plan).functions if each.started}

    assert started == {"ingest": overrides.WORKERS_PER_FUNCTION} | {consumer.name: 1 for consumer in CONSUMERS}


def test_topics_are_as_deployed(plan: Plan, assembly: Assembly) -> None:
    topics = {each.name: each for each in plan.topics}

    assert topics["raw-events"].replication == brokers_needed(assembly) == 3
    assert topics["raw-events"].settings["min.insync.replicas"] == "2"
    assert broker_settings(assembly)["auto.create.topics.enable"] == "false"


def test_topic_settings_that_cannot_be_read_are_named(assembly: Assembly, tmp_path: Path) -> None:
    broken = changed(assembly, "AWS::MSK::Topic", {"Configs": base64.b64encode(b"retention.ms=1").decode()})

    with pytest.raises(TemplateError, match=r"AWS::MSK::Topic\) Configs is no JSON"):
        _ = resolve(broken, services(tmp_path)).topics


def test_the_api_leads_to_functions_with_the_routes_throttles(plan: Plan) -> None:
    api = http_api(plan)
    functions = {each.arn for each in lambdas(plan).functions}

    assert {route.function_arn for route in api.routes} <= functions
    assert all(route.throttle is not None for route in api.routes)


def test_the_routes_of_admins_are_signed_and_no_others(plan: Plan) -> None:
    signed = {route.key for route in http_api(plan).routes if route.signed}

    assert signed == {*READS, *AUDIT, *ON_CALL, *CHANGES}
    assert len(signed) < len(http_api(plan).routes)


def test_each_role_of_people_is_a_principal_with_the_routes_it_has_when_deployed(plan: Plan) -> None:
    api = http_api(plan)
    arn = f"arn:aws:execute-api:{api.region}:{api.account}:{api.id}/$default"

    people = [each for each in api.principals if not each.function]
    assert {purpose(each.role) for each in people} == set(ROUTES)
    for principal in people:
        allowed = {
            route.key
            for route in api.routes
            if allows(principal.statements, "execute-api:Invoke", f"{arn}/{route.key.replace(' /', '/')}")
        }
        assert allowed == set(ROUTES[purpose(principal.role)])
        assert principal.arn == f"arn:aws:iam::{api.account}:role/{principal.role}"
        assert re.fullmatch("AROA[0-9A-F]{17}", principal.id)


def test_access_keys_are_those_of_one_start(plan: Plan) -> None:
    def keys(plan: Plan) -> list[config.AccessKeyConfig]:
        return [key for each in http_api(plan).principals if not each.function for key in each.keys]

    again = keys(resolve(plan.assembly, plan.services))
    assert keys(plan) == keys(plan)
    assert [each for each in keys(plan) if each in again] == [ADMIN]
    described = names_in(plan)
    admin, *others = sorted(
        (each for each in plan.principals if not each.function), key=lambda each: purpose(each.role)
    )
    assert [each.keys for each in others if ADMIN in each.keys] == []
    assert described["admin"] == msgspec.to_builtins(admin.keys[1])
    assert described["roles"]["admin"] == {**msgspec.to_builtins(admin.keys[0]), "arn": admin.arn}
    assert list(described["roles"]) == list(ROUTES)


def test_a_function_signs_for_the_api_with_the_key_that_it_has_for_aws(plan: Plan) -> None:
    (probe,) = [each for each in plan.principals if each.function]
    environment = function_environment("sluice-proof-probe", {}, plan.services)
    (key,) = probe.keys
    assert (key.access_key, key.secret_key) == (
        environment["AWS_ACCESS_KEY_ID"],
        environment["AWS_SECRET_ACCESS_KEY"],
    )
    resources = [resource.rpartition("/$default/")[2] for one in probe.statements for resource in one.resources]
    assert resources == ["POST/v1/admin/fleets", "POST/v1/admin/fleets/sluice-probe/keys"]


@pytest.mark.parametrize(
    ("element", "value", "named"),
    [
        ("Condition", {"Bool": {"aws:MultiFactorAuthPresent": "true"}}, "Condition"),
        ("NotAction", "s3:*", "NotAction"),
        ("NotResource", "*", "NotResource"),
        ("NotPrincipal", {"AWS": "*"}, "NotPrincipal"),
        ("Principal", {"AWS": "*"}, "Principal"),
        ("Resource", "arn:aws:execute-api:*:*:*/${aws:username}", "policy variables"),
        ("Effect", "Maybe", "Effect is 'Maybe'"),
    ],
)
def test_a_policy_that_the_model_of_iam_cannot_evaluate_stops_the_start_with_its_element(
    tmp_path: Path, element: str, value: object, named: str
) -> None:
    statement = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": "*", element: value}
    if element == "NotAction":
        del statement["Action"]

    with pytest.raises(TemplateError, match=rf"more/Role \(AWS::IAM::Role\) has a .*{re.escape(named)}"):
        people(tmp_path, [statement])


def people(state: Path, statements: list[dict[str, Any]], **properties: Any) -> Plan:
    """A plan with one role."""
    policies = [{"PolicyName": "p", "PolicyDocument": {"Statement": statements}}]
    role = {"Type": "AWS::IAM::Role", "Properties": {"RoleName": "a-role", "Policies": policies, **properties}}
    return resolve(Assembly.of({"more": {"Resources": {"Role": role}}}), services(state))


def test_a_role_is_a_principal_only_where_a_policy_allows_the_api(tmp_path: Path) -> None:
    allow = {"Effect": "Allow", "Action": ["execute-api:*"], "Resource": "*"}
    bucket = {"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": {"Bool": {}}}

    assert people(tmp_path, [bucket, {**allow, "Effect": "Deny"}]).principals == []
    (principal,) = people(tmp_path, [bucket, allow, {**allow, "Effect": "Deny", "Resource": "x"}]).principals
    assert principal.statements == [
        config.StatementConfig("Allow", ["execute-api:*"], ["*"]),
        config.StatementConfig("Deny", ["execute-api:*"], ["x"]),
    ]


def test_a_managed_policy_that_nothing_here_knows_stops_the_start(tmp_path: Path) -> None:
    known = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
    unknown = "arn:aws:iam::aws:policy/AmazonAPIGatewayInvokeFullAccess"

    assert people(tmp_path, [], ManagedPolicyArns=[known]).principals == []
    with pytest.raises(TemplateError, match="AmazonAPIGatewayInvokeFullAccess"):
        people(tmp_path, [], ManagedPolicyArns=[known, unknown])


@pytest.mark.parametrize("kind", ["AWS::IAM::Policy", "AWS::IAM::ManagedPolicy"])
def test_a_policy_beside_a_role_may_not_speak_of_the_api(tmp_path: Path, kind: str) -> None:
    def planned(action: str) -> Plan:
        statement = {"Effect": "Allow", "Action": action, "Resource": "*"}
        policy = {"Type": kind, "Properties": {"PolicyDocument": {"Statement": statement}}}
        return resolve(Assembly.of({"more": {"Resources": {"Policy": policy}}}), services(tmp_path))

    assert planned("s3:GetObject").principals == []
    with pytest.raises(TemplateError, match=r"more/Policy .* execute-api:Invoke"):
        planned("execute-api:Invoke")


def test_the_mapping_is_the_templates(plan: Plan) -> None:
    mappings = {each.group: each for each in event_source(plan).mappings}
    assert {name: each.topic for name, each in mappings.items()} == {each.name: each.topic for each in CONSUMERS}
    samples, mapping, letters = (mappings[name] for name in ("aggregate", "archive", "deadletter"))
    assert (samples.topic, samples.starting_position, samples.partial_failures) == ("raw-events", "TRIM_HORIZON", True)
    # Dead letters have nowhere further to go: their own consumer never gives one up.
    assert (letters.maximum_retries, letters.maximum_age_seconds, letters.failure_bucket) == (-1, -1, None)

    assert (mapping.topic, mapping.group, mapping.starting_position) == ("raw-events", "archive", "TRIM_HORIZON")
    assert mapping.partial_failures
    assert (mapping.maximum_retries, mapping.maximum_age_seconds) == (10_000, 14_400)
    assert mapping.failure_bucket in plan.buckets.values()


def test_the_mappings_of_queues_are_the_templates(plan: Plan) -> None:
    found = queue_source(plan).mappings
    mappings = {each.queue_arn.rpartition(":sluice-proof-")[2]: each for each in found}
    assert set(mappings) == {"attempts", "notification-messages.fifo", "notification-deliveries.fifo"}
    told = mappings["notification-deliveries.fifo"]
    assert (told.batch_size, told.at_once, told.partial_failures) == (1, 4, True)
    assert told.function_arn.endswith(":sluice-proof-notify")
    assert told.queue_url == f"{plan.services.aws}/123456789012/sluice-proof-notification-deliveries.fifo"


def test_a_queue_that_hides_messages_too_shortly_is_refused_as_by_aws(assembly: Assembly, tmp_path: Path) -> None:
    templates = {name: copy.deepcopy(dict(stack.template)) for name, stack in assembly.stacks.items()}
    for queue in assembly.resources("AWS::SQS::Queue"):
        templates[queue.stack]["Resources"][queue.logical_id]["Properties"]["VisibilityTimeout"] = 1

    with pytest.raises(TemplateError, match="hides a message for less than the function's timeout"):
        queue_source(resolve(Assembly.of(templates, assembly.assets), services(tmp_path)))


def test_the_stream_converts_by_the_tables_columns(plan: Plan) -> None:
    stream, other = firehose(plan).streams

    assert msgspec.structs.replace(other, name=stream.name) == stream
    assert stream.bucket in plan.buckets.values()
    assert stream.prefix == "raw/region=us-east-1/dt=!{timestamp:yyyy-MM-dd}/"
    assert [each.name for each in stream.columns][:3] == ["fleet_id", "device_id", "event_id"]
    assert {each.name: each.type for each in stream.columns}["metrics"] == "map<string,double>"


def test_a_deployments_triggers_are_known(plan: Plan) -> None:
    assert [name.rpartition("-")[2] for name in plan.triggers] == ["migrate"]
    assert plan.databases == ["sluice"]


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    with emulated_aws() as url:
        yield url


def test_buckets_and_tables_are_created_as_the_templates_have_them(
    assembly: Assembly, aws: str, tmp_path: Path
) -> None:
    plan = resolve(assembly, services(tmp_path, aws))
    create_aws(plan)
    s3, glue = aws_client("s3", aws, "us-east-1"), aws_client("glue", aws, "us-east-1")

    assert {each["Name"] for each in s3.list_buckets()["Buckets"]} == set(plan.buckets.values())
    for bucket in plan.buckets.values():
        assert s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    stream, _ = firehose(plan).streams
    table = glue.get_table(DatabaseName=stream.database, Name=stream.table)["Table"]
    assert [column["Name"] for column in table["StorageDescriptor"]["Columns"]] == [
        each.name for each in stream.columns
    ]
    assert table["Parameters"]["projection.enabled"] == "true"

    sns, sqs = (aws_client(service, aws, "us-east-1") for service in ("sns", "sqs"))
    (subscribed,) = sns.list_subscriptions()["Subscriptions"]
    assert subscribed["TopicArn"].endswith("alerts.fifo")
    assert subscribed["Endpoint"].endswith("notification-messages.fifo")
    for mapping in queue_source(plan).mappings:
        held = sqs.get_queue_attributes(QueueUrl=mapping.queue_url, AttributeNames=["All"])["Attributes"]
        assert held["QueueArn"] == mapping.queue_arn
        assert int(json.loads(held["RedrivePolicy"])["maxReceiveCount"]) > 1


def test_a_secret_is_generated_as_its_template_asks(aws: str, tmp_path: Path) -> None:
    secret = {
        "Name": "generated",
        "GenerateSecretString": {"SecretStringTemplate": '{"user": "me"}', "GenerateStringKey": "password"},
    }
    template = {"Resources": {"Secret": {"Type": "AWS::SecretsManager::Secret", "Properties": secret}}}
    create_aws(resolve(Assembly.of({"data": template}), services(tmp_path, aws)))
    secrets = aws_client("secretsmanager", aws, "us-east-1")
    value = json.loads(secrets.get_secret_value(SecretId="generated")["SecretString"])

    assert value["user"] == "me"
    assert len(value["password"]) >= 24


def test_a_key_that_signs_has_its_alias_and_a_bucket_its_lock(aws: str, tmp_path: Path) -> None:
    lock = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}}
    signing = {"KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY", "KeyPolicy": {}}
    properties = {
        ("Signing", "AWS::KMS::Key"): signing,
        ("Encrypting", "AWS::KMS::Key"): {"KeyPolicy": {}, "EnableKeyRotation": True},
        ("One", "AWS::KMS::Alias"): {"AliasName": "alias/signs", "TargetKeyId": {"Fn::GetAtt": ["Signing", "Arn"]}},
        ("Two", "AWS::KMS::Alias"): {"AliasName": "alias/hides", "TargetKeyId": {"Fn::GetAtt": ["Encrypting", "Arn"]}},
        ("Bucket", "AWS::S3::Bucket"): {
            "BucketName": "locked",
            "ObjectLockEnabled": True,
            "ObjectLockConfiguration": lock,
        },
    }
    resources = {name: {"Type": kind, "Properties": wanted} for (name, kind), wanted in properties.items()}
    assembly = Assembly.of({"data": {"Resources": resources}})
    check(assembly)
    create_aws(resolve(assembly, services(tmp_path, aws)))

    kms, s3 = aws_client("kms", aws, "us-east-1"), aws_client("s3", aws, "us-east-1")
    assert kms.get_public_key(KeyId="alias/signs")["KeyUsage"] == "SIGN_VERIFY"
    # Nothing is encrypted here.
    assert {each["AliasName"] for each in kms.list_aliases()["Aliases"]} & {"alias/signs", "alias/hides"} == {
        "alias/signs"
    }
    s3.put_object(Bucket="locked", Key="new", Body=b"")
    assert s3.head_object(Bucket="locked", Key="new")["ObjectLockMode"] == "GOVERNANCE"


def test_a_state_machine_is_created_from_its_resolved_definition(aws: str, tmp_path: Path) -> None:
    before, after = '{"StartAt": "A", "States": {"A": {"Type": "Pass", "Result": "', ' ${word}", "End": true}}}'
    role = {"Type": "AWS::IAM::Role", "Properties": {"RoleName": "runs"}}
    properties = {
        "StateMachineName": "copies",
        "StateMachineType": "STANDARD",
        "RoleArn": {"Fn::GetAtt": ["Role", "Arn"]},
        "DefinitionString": {"Fn::Join": ["", [before, {"Ref": "AWS::Region"}, after]]},
        "DefinitionSubstitutions": {"word": {"Ref": "AWS::AccountId"}},
        "LoggingConfiguration": {"Level": "ERROR"},
    }
    machine = {"Type": "AWS::StepFunctions::StateMachine", "Properties": properties}
    assembly = Assembly.of({"more": {"Resources": {"Role": role, "Machine": machine}}})
    check(assembly)
    plan = resolve(assembly, services(tmp_path, aws))
    create_aws(plan)
    (created,) = plan.all("AWS::StepFunctions::StateMachine")
    client = aws_client("stepfunctions", aws, "us-east-1")
    found = client.describe_state_machine(stateMachineArn=plan.name(created))

    assert json.loads(found["definition"])["States"]["A"]["Result"] == "us-east-1 123456789012"
    assert found["stateMachineArn"] == plan.attribute(created, "Arn")
    assert (found["name"], found["roleArn"]) == ("copies", "arn:aws:iam::123456789012:role/runs")


def test_an_express_machine_is_refused(aws: str, tmp_path: Path) -> None:
    properties = {"StateMachineType": "EXPRESS", "RoleArn": "arn", "DefinitionString": "{}"}
    template = {"Resources": {"Machine": {"Type": "AWS::StepFunctions::StateMachine", "Properties": properties}}}

    with pytest.raises(TemplateError, match="'EXPRESS'; only 'STANDARD' is modelled"):
        create_aws(resolve(Assembly.of({"more": template}), services(tmp_path, aws)))


def test_lifecycle_rules_are_said_in_the_words_of_the_api() -> None:
    rule = {
        "Id": "old",
        "Status": "Enabled",
        "Prefix": "raw/",
        "ExpirationInDays": 730,
        "Transitions": [{"StorageClass": "GLACIER_IR", "TransitionInDays": 90}],
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
    }

    assert _lifecycle_rule(rule, "here") == {
        "ID": "old",
        "Status": "Enabled",
        "Filter": {"Prefix": "raw/"},
        "Expiration": {"Days": 730},
        "Transitions": [{"StorageClass": "GLACIER_IR", "Days": 90}],
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
    }
    with pytest.raises(TemplateError, match="here has a lifecycle rule with TagFilters"):
        _lifecycle_rule({"TagFilters": []}, "here")
