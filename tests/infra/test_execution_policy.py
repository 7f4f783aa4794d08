"""CloudFormation may use every service that the templates use, and no other."""

import json
import re
from fnmatch import fnmatchcase
from typing import Any

import botocore.session
import pytest

from tests.infra.options import DOMAIN, FIREWALL, synthesized
from tests.infra.templates import ROOT, Templates, context, listed

DOCUMENT = json.loads((ROOT / "infra/execution-policy.json").read_text())
# What IAM calls the services of resource types, where it is not their name in lower case.
PREFIXES = {
    "apigatewayv2": "apigateway",
    "kinesisfirehose": "firehose",
    "msk": "kafka",
    "stepfunctions": "states",
}
# What resources need of other services.
FURTHER = {
    "kafka-cluster": "a topic is created in the cluster",
    "route53": "an endpoint that answers to its service's own name is a private zone of the network",
    "secretsmanager": "RDS keeps the administrator's password there",
    "ssm": "every stack asks for the version of the bootstrap",
}
# What CloudFormation asks of EC2 for each type: to create, change and delete it. Looking is allowed altogether.
TAGS = ("CreateTags", "DeleteTags")
EC2 = {
    "FlowLog": ("CreateFlowLogs", "DeleteFlowLogs", *TAGS),
    "RouteTable": ("CreateRouteTable", "DeleteRouteTable", *TAGS),
    "SecurityGroup": (
        "CreateSecurityGroup",
        "DeleteSecurityGroup",
        "AuthorizeSecurityGroupEgress",
        "AuthorizeSecurityGroupIngress",
        "RevokeSecurityGroupEgress",
        "RevokeSecurityGroupIngress",
        *TAGS,
    ),
    "SecurityGroupEgress": (
        "AuthorizeSecurityGroupEgress",
        "ModifySecurityGroupRules",
        "RevokeSecurityGroupEgress",
        "UpdateSecurityGroupRuleDescriptionsEgress",
    ),
    "SecurityGroupIngress": (
        "AuthorizeSecurityGroupIngress",
        "ModifySecurityGroupRules",
        "RevokeSecurityGroupIngress",
        "UpdateSecurityGroupRuleDescriptionsIngress",
    ),
    "Subnet": ("CreateSubnet", "DeleteSubnet", "ModifySubnetAttribute", *TAGS),
    "SubnetRouteTableAssociation": ("AssociateRouteTable", "DisassociateRouteTable"),
    "VPC": ("CreateVpc", "DeleteVpc", "ModifyVpcAttribute", *TAGS),
    "VPCEndpoint": ("CreateVpcEndpoint", "DeleteVpcEndpoints", "ModifyVpcEndpoint", *TAGS),
}
# What types of other services ask of EC2.
EC2_OF_OTHERS = ("CreateNetworkInterface", "DeleteNetworkInterface")
SECRETS_TAGS = ("TagResource", "UntagResource")
# What CloudFormation asks for resources that say their own names, where the policy allows names alone. It names the
# others, as all buckets, after their stacks.
NAMED = {
    "AWS::IAM::Role": ("RoleName", "arn:aws:iam::1:role/{}", "iam", ("CreateRole", "DeleteRole", "UpdateRole")),
    "AWS::MSK::Cluster": ("ClusterName", "arn:aws:kafka:r:1:cluster/{}/u", "kafka-cluster", ("Connect",)),
    "AWS::SecretsManager::Secret": (
        "Name",
        "arn:aws:secretsmanager:r:1:secret:{}-AbCdEf",
        "secretsmanager",
        ("CreateSecret", "DeleteSecret", "DescribeSecret", "GetSecretValue", "UpdateSecret", *SECRETS_TAGS),
    ),
}
MOST_CHARACTERS = 6144


def actions() -> set[str]:
    return {action for statement in DOCUMENT["Statement"] for action in listed(statement["Action"])}


def is_allowed(action: str, arn: str) -> bool:
    return any(
        any(fnmatchcase(action, each) for each in listed(statement["Action"]))
        and any(fnmatchcase(arn, each) for each in listed(statement["Resource"]))
        for statement in DOCUMENT["Statement"]
    )


@pytest.fixture(scope="module")
def with_options(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The resources of a deployment with everything that an option adds."""
    stacks = synthesized(tmp_path_factory.mktemp("options"), context("baseline", **DOMAIN, **FIREWALL))
    return [resource for stack in stacks.values() for resource in stack["Resources"].values()]


@pytest.fixture(scope="module")
def all_types(with_options: list[dict[str, Any]]) -> set[str]:
    return {resource["Type"] for resource in with_options}


def services(types: set[str]) -> set[str]:
    named = {kind.split("::")[1].lower() for kind in types if kind.startswith("AWS::")}
    return {PREFIXES.get(name, name) for name in named}


def test_every_service_of_a_resource_is_allowed_and_nothing_else(all_types: set[str]) -> None:
    allowed = {action.partition(":")[0] for action in actions()}
    assert allowed == services(all_types) | set(FURTHER)


def test_each_resource_with_a_name_of_its_own_may_be_created_where_names_are_allowed(
    with_options: list[dict[str, Any]],
) -> None:
    met = set()
    for resource in with_options:
        name, arn, service, operations = NAMED.get(resource["Type"], ("", "", "", ()))
        if named := resource.get("Properties", {}).get(name):
            met.add(resource["Type"])
            refused = [each for each in operations if not is_allowed(f"{service}:{each}", arn.format(named))]
            assert refused == [], named
        elif resource["Type"] == "AWS::S3::Bucket":
            assert "BucketName" not in resource["Properties"]
    assert met == set(NAMED)


def test_each_type_of_ec2_may_be_created_changed_and_deleted_and_nothing_else(all_types: set[str]) -> None:
    kinds = {kind.rpartition("::")[2] for kind in all_types if kind.startswith("AWS::EC2::")}
    assert kinds == set(EC2), "say which actions a new type needs"
    needed = {f"ec2:{action}" for of_type in (*EC2.values(), EC2_OF_OTHERS) for action in of_type}
    allowed = {action for action in actions() if action.startswith("ec2:")}
    assert {each for each in needed if not any(fnmatchcase(each, one) for one in allowed)} == set()
    unused = {one for one in allowed if not any(fnmatchcase(each, one) for each in needed)}
    assert unused == {"ec2:Describe*"}


def test_no_profile_has_a_type_that_the_others_lack(templates: Templates, all_types: set[str]) -> None:
    assert {resource.type for resource in templates.every()} <= all_types
    assert {kind for kind in all_types if not kind.startswith("AWS::")} <= {
        "Custom::KafkaBootstrapBrokers",
        "Custom::LogRetention",
        "Custom::Trigger",
    }, "a custom resource is a call of its function, which lambda:* allows"


def test_it_may_not_make_machines_users_or_roles_of_others() -> None:
    assert "*" not in actions()
    assert not {
        action for action in actions() if re.match(r"iam:\*|ec2:\*|ec2:Run|iam:.*User|iam:.*Policy$", action)
    } - {
        "iam:AttachRolePolicy",
        "iam:DeleteRolePolicy",
        "iam:DetachRolePolicy",
        "iam:GetRolePolicy",
        "iam:PutRolePolicy",
        "iam:UpdateAssumeRolePolicy",
    }
    for statement in DOCUMENT["Statement"]:
        if any(action.startswith("iam:") for action in listed(statement["Action"])):
            assert re.fullmatch(r"arn:aws:iam::\*:role/(sluice-|aws-service-role/)\*", statement["Resource"])


def test_roles_of_the_templates_are_named_after_their_stacks(templates: Templates) -> None:
    for role in templates.every("AWS::IAM::Role"):
        name = role.properties.get("RoleName")
        assert name is None or name.startswith("sluice-"), role.name
        managed = json.dumps(role.properties.get("ManagedPolicyArns", []))
        assert set(re.findall(r"policy/[\w/-]+", managed)) <= {"policy/service-role/AWSLambdaBasicExecutionRole"}


def test_actions_without_a_wildcard_are_operations_of_their_service() -> None:
    session = botocore.session.get_session()
    for action in sorted(actions()):
        service, _, name = action.partition(":")
        # S3's actions are not named as its operations are, and two actions of IAM and EC2 have no operation.
        if "*" not in name and service != "s3" and action != "iam:PassRole":
            assert name in session.get_service_model(service).operation_names, action


def test_it_fits_into_a_managed_policy() -> None:
    assert len(re.sub(r"\s", "", json.dumps(DOCUMENT))) < MOST_CHARACTERS


def test_it_is_a_file_that_a_person_reads() -> None:
    sids = [statement["Sid"] for statement in DOCUMENT["Statement"]]
    assert len(set(sids)) == len(sids)
    written: dict[str, Any] = DOCUMENT
    assert (ROOT / "infra/execution-policy.json").read_text() == json.dumps(written, indent=2) + "\n"
