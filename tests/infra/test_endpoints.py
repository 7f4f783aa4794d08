"""The endpoints let through what functions inside the network may do, for this account alone, and nothing else."""

import json
from typing import Any

from tests.infra.templates import Resource, Templates, listed

#: Services that functions call themselves, through an endpoint of their own.
CALLED = ("cloudwatch", "firehose", "lambda", "secretsmanager", "sns", "states")
#: What endpoints call services, where it is not what IAM calls them.
ENDPOINTS = {"cloudwatch": "monitoring", "firehose": "kinesis-firehose"}
#: What S3 and SNS ask of a key in a function's name goes through no endpoint of ours.
SIGNING = ("kms:Sign", "kms:Verify")


def _statement(endpoint: Resource) -> dict[str, Any]:
    (statement,) = endpoint.properties["PolicyDocument"]["Statement"]
    found: dict[str, Any] = statement
    return found


def _service(endpoint: Resource) -> str:
    """What the endpoint's service is called, without the region."""
    name = endpoint.properties["ServiceName"]
    written = name if isinstance(name, str) else "".join(str(part) for part in name["Fn::Join"][1])
    return written.rpartition(".")[2]


def test_endpoints_pass_on_what_functions_inside_may_do_and_no_more(templates: Templates) -> None:
    inside = {verb for verb, function in templates.functions().items() if "VpcConfig" in function.properties}
    needed: dict[str, set[str]] = {}
    for action in {action for verb in inside for action in templates.granted(verb)}:
        service = action.partition(":")[0]
        if service in CALLED or action in SIGNING:
            needed.setdefault(ENDPOINTS.get(service, service), set()).add(action)
    passed = {
        _service(endpoint): set(listed(_statement(endpoint)["Action"]))
        for endpoint in templates.every("AWS::EC2::VPCEndpoint")
        if endpoint.properties.get("VpcEndpointType") == "Interface"
    }
    assert passed == needed


def test_every_endpoint_serves_roles_or_buckets_of_this_account_alone(templates: Templates) -> None:
    endpoints = list(templates.every("AWS::EC2::VPCEndpoint"))
    assert len(endpoints) >= 7
    for endpoint in endpoints:
        interface = endpoint.properties.get("VpcEndpointType") == "Interface"
        key = "aws:PrincipalAccount" if interface else "aws:ResourceAccount"
        assert _statement(endpoint)["Condition"] == {"StringEquals": {key: {"Ref": "AWS::AccountId"}}}, endpoint.name


def test_refused_connections_are_logged(templates: Templates) -> None:
    flow_log = templates.only("AWS::EC2::FlowLog").properties
    assert (flow_log["ResourceType"], flow_log["TrafficType"]) == ("VPC", "REJECT")
    group = templates.named(flow_log["LogGroupName"]["Ref"])
    assert group.properties["RetentionInDays"] == templates.profile.log_days


def test_the_code_of_no_function_may_call_ec2(templates: Templates) -> None:
    for verb, function in templates.functions().items():
        denied = [each for each in templates.statements(verb) if each["Effect"] == "Deny"]
        if "VpcConfig" not in function.properties:
            assert denied == [], verb
            continue
        (statement,) = denied
        assert (statement["Action"], statement["Resource"]) == ("ec2:*", "*"), verb
        own = json.dumps(statement["Condition"]["ArnEquals"]["lambda:SourceFunctionArn"])
        assert own.endswith(f':function:sluice-proof-{verb}"]]}}'), verb


def test_deletes_of_events_and_dead_letters_are_left_to_their_expiry(templates: Templates) -> None:
    found: dict[str, list[tuple[set[str], str | None]]] = {}
    for policy in templates.every("AWS::S3::BucketPolicy"):
        for statement in policy.properties["PolicyDocument"]["Statement"]:
            if "s3:DeleteObject" not in listed(statement["Action"]):
                continue
            assert statement["Effect"] == "Deny"
            assert set(listed(statement["Action"])) == {"s3:DeleteObject", "s3:DeleteObjectVersion"}
            assert statement["Principal"] == {"AWS": "*"}
            below = {each["Fn::Join"][1][-1] for each in listed(statement["Resource"])}
            but = statement.get("Condition", {}).get("ArnNotLike", {}).get("aws:PrincipalArn")
            name = next(each for each in ("Raw", "DeadLetter", "Trail") if each in policy.name)
            found.setdefault(name, []).append((below, but and json.dumps(but)))
    if not templates.profile.keeps_data:
        assert found == {}
        return
    assert found["DeadLetter"] == found["Trail"] == [({"/*"}, None)]
    everyone, salvage = found["Raw"]
    assert everyone == ({"/raw/*", "/salvaged/*"}, None)
    assert salvage[0] == {"/errors/*"}
    # CloudFormation names the role by its stack and its logical id.
    role = templates.named(templates.functions()["salvage"].properties["Role"]["Fn::GetAtt"][0])
    prefix = str(salvage[1]).rpartition(":role/")[2].rstrip('*"]}')
    assert f"sluice-proof-{role.stack}-{role.name}".startswith(prefix)
