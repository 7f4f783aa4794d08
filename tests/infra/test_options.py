"""What a deployment is told reaches the templates, and what could not work is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from infra.stacks import define
from tests.infra.templates import STACKS, context

CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/0a-1"
DOMAIN = {"domain": "telemetry.example.org", "certificate": CERTIFICATE}
RESTORED = {
    "restored_database": "db-RESTORED0123456789ABCDEF",
    "restored_secret": "arn:aws:secretsmanager:us-east-1:123456789012:secret:rds!db-0a-1",
}
ZONES = "us-east-1a,us-east-1c,us-east-1d"


def synthesized(outdir: Path, given: dict[str, object]) -> dict[str, dict[str, Any]]:
    """The templates of a deployment by their stacks."""
    define(given, outdir=str(outdir)).synth()
    return {stack: json.loads((outdir / f"sluice-proof-{stack}.template.json").read_text()) for stack in STACKS}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The templates of a deployment with every option."""
    options = {"zones": ZONES, "cidr": "10.9.0.0/18", "firehose_mib": "0.25", "reserve": "no", **DOMAIN, **RESTORED}
    return synthesized(tmp_path_factory.mktemp("told"), context("dev", **options))


def of_type(template: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [each["Properties"] for each in template["Resources"].values() if each["Type"] == kind]


def test_the_network_stands_in_the_zones_and_addresses_that_were_told(told: dict[str, dict[str, Any]]) -> None:
    subnets = of_type(told["network"], "AWS::EC2::Subnet")
    assert {subnet["AvailabilityZone"] for subnet in subnets} == set(ZONES.split(","))
    assert {subnet["CidrBlock"] for subnet in subnets} == {"10.9.0.0/20", "10.9.16.0/20", "10.9.32.0/20"}


def test_the_domain_leads_to_the_stage_and_the_deployment_says_where_its_name_must_point(
    told: dict[str, dict[str, Any]],
) -> None:
    (name,) = of_type(told["pipeline"], "AWS::ApiGatewayV2::DomainName")
    (configuration,) = name["DomainNameConfigurations"]
    assert name["DomainName"] == "telemetry.example.org"
    assert configuration == {
        "CertificateArn": CERTIFICATE,
        "EndpointType": "REGIONAL",
        "SecurityPolicy": "TLS_1_2",
    }
    (mapping,) = [
        each for each in told["pipeline"]["Resources"].values() if each["Type"] == "AWS::ApiGatewayV2::ApiMapping"
    ]
    (stage,) = [
        name for name, each in told["pipeline"]["Resources"].items() if each["Type"] == "AWS::ApiGatewayV2::Stage"
    ]
    assert mapping["Properties"]["Stage"] == {"Ref": stage}
    assert stage in mapping["DependsOn"]
    (target,) = [value for key, value in told["pipeline"]["Outputs"].items() if key.startswith("ApiDomainTarget")]
    assert target["Value"]["Fn::GetAtt"][1] == "RegionalDomainName"


def test_no_function_reserves_executions_that_the_account_has_not(told: dict[str, dict[str, Any]]) -> None:
    functions = [each for template in told.values() for each in of_type(template, "AWS::Lambda::Function")]
    assert len(functions) > 30
    assert not [each for each in functions if "ReservedConcurrentExecutions" in each]


def test_a_smaller_quota_of_firehose_makes_more_streams(told: dict[str, dict[str, Any]]) -> None:
    assert len(of_type(told["data"], "AWS::KinesisFirehose::DeliveryStream")) == 5


def test_functions_log_in_at_a_restored_database_and_the_update_that_tells_them_can_begin(
    told: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    """Exports that the stack of functions still imports must not change under it."""
    written = json.dumps([told["pipeline"], told["background"]])
    assert written.count(f":dbuser:{RESTORED['restored_database']}/sluice_") == written.count('"rds-db:connect"') > 15
    secret = RESTORED["restored_secret"]
    functions = [each for template in told.values() for each in of_type(template, "AWS::Lambda::Function")]
    variables = [each.get("Environment", {}).get("Variables", {}) for each in functions]
    assert {each["DATABASE_SECRET_ARN"] for each in variables if "DATABASE_SECRET_ARN" in each} == {secret}
    before = synthesized(tmp_path, context("dev"))["data"]["Outputs"]
    exported = {
        name: output["Value"]
        for name, output in before.items()
        if "Database" in name and isinstance(output["Value"], dict)
    }
    assert {value["Fn::GetAtt"][1] for value in exported.values() if "Fn::GetAtt" in value} >= {
        "DbiResourceId",
        "MasterUserSecret.SecretArn",
    }
    assert {name: told["data"]["Outputs"][name]["Value"] for name in exported} == exported


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"zones": "us-east-1a,us-east-1b"}, "must be 3 different zones of us-east-1"),
        ({"zones": "us-east-1a,us-east-1a,us-east-1b"}, "must be 3 different zones of us-east-1"),
        ({"zones": "eu-west-1a,eu-west-1b,eu-west-1c"}, "must be 3 different zones of us-east-1"),
        ({"cidr": "10.0.0.1/16"}, "is no IPv4 network"),
        ({"cidr": "10.0.0.0/19"}, "a private network of /16 to /18"),
        ({"cidr": "8.8.0.0/16"}, "a private network of /16 to /18"),
        ({"domain": "telemetry.example.org"}, "which a domain needs"),
        ({"certificate": CERTIFICATE}, "domain '' is not a host name"),
        ({"domain": "telemetry", "certificate": CERTIFICATE}, "is not a host name"),
        ({"firehose_mib": "much"}, "is not a number"),
        (RESTORED | {"restored_database": "sluice-prod"}, "is no DbiResourceId"),
        (RESTORED | {"restored_secret": ""}, "which a restored database needs"),
        ({"restored_secret": RESTORED["restored_secret"]}, "is no DbiResourceId"),
        ({"reserve": "maybe"}, "must be yes or no"),
        ({"first": "1"}, "must be yes or no"),
    ],
)
def test_an_option_that_could_not_work_is_refused(given: dict[str, object], says: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=says):
        define(context("dev", **given), outdir=str(tmp_path))


def test_a_stage_that_keeps_data_must_reserve(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a stage that keeps its data needs RESERVE"):
        define(context("baseline", reserve="no"), outdir=str(tmp_path))
