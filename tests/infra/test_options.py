"""What a deployment is told reaches the templates, and what could not work is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from infra.stacks import define
from tests.infra.options import CERTIFICATE, DOMAIN, FIREWALL, RESTORED, ZONES, Told, of_type, synthesized
from tests.infra.templates import STACKS, context


def test_the_network_stands_in_the_zones_and_addresses_that_were_told(told: Told) -> None:
    subnets = of_type(told.template("network"), "AWS::EC2::Subnet")
    assert {subnet["AvailabilityZone"] for subnet in subnets} == set(ZONES.split(","))
    assert {subnet["CidrBlock"] for subnet in subnets} == {"10.9.0.0/20", "10.9.16.0/20", "10.9.32.0/20"}


def test_the_domain_leads_to_the_stage_and_the_deployment_says_where_its_name_must_point(
    told: Told,
) -> None:
    pipeline = told.template("pipeline")
    (name,) = of_type(pipeline, "AWS::ApiGatewayV2::DomainName")
    (configuration,) = name["DomainNameConfigurations"]
    assert name["DomainName"] == "telemetry.example.org"
    assert configuration == {
        "CertificateArn": CERTIFICATE,
        "EndpointType": "REGIONAL",
        "SecurityPolicy": "TLS_1_2",
    }
    (mapping,) = [each for each in pipeline["Resources"].values() if each["Type"] == "AWS::ApiGatewayV2::ApiMapping"]
    (stage,) = [name for name, each in pipeline["Resources"].items() if each["Type"] == "AWS::ApiGatewayV2::Stage"]
    assert mapping["Properties"]["Stage"] == {"Ref": stage}
    assert stage in mapping["DependsOn"]
    (target,) = [value for key, value in pipeline["Outputs"].items() if key.startswith("ApiDomainTarget")]
    assert target["Value"]["Fn::GetAtt"][1] == "RegionalDomainName"


def test_no_function_reserves_executions_that_the_account_has_not(told: Told) -> None:
    functions = [each for stack in STACKS for each in of_type(told.template(stack), "AWS::Lambda::Function")]
    assert len(functions) > 30
    assert not [each for each in functions if "ReservedConcurrentExecutions" in each]


def test_a_smaller_quota_of_firehose_makes_more_streams(told: Told) -> None:
    assert len(of_type(told.template("data"), "AWS::KinesisFirehose::DeliveryStream")) == 5


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The same stage without options."""
    return synthesized(tmp_path_factory.mktemp("plain"), context("dev"))


def test_functions_log_in_at_a_restored_database_and_the_update_that_tells_them_can_begin(
    told: Told, plain: dict[str, dict[str, Any]]
) -> None:
    """Exports that the stack of functions still imports must not change under it."""
    templates = [told.template(stack) for stack in STACKS]
    written = json.dumps([told.template("pipeline"), told.template("background")])
    assert written.count(f":dbuser:{RESTORED['restored_database']}/sluice_") == written.count('"rds-db:connect"') > 15
    secret = RESTORED["restored_secret"]
    functions = [each for template in templates for each in of_type(template, "AWS::Lambda::Function")]
    variables = [each.get("Environment", {}).get("Variables", {}) for each in functions]
    assert {each["DATABASE_SECRET_ARN"] for each in variables if "DATABASE_SECRET_ARN" in each} == {secret}
    before = plain["data"]["Outputs"]
    exported = {
        name: output["Value"]
        for name, output in before.items()
        if "Database" in name and isinstance(output["Value"], dict)
    }
    assert {value["Fn::GetAtt"][1] for value in exported.values() if "Fn::GetAtt" in value} >= {
        "DbiResourceId",
        "MasterUserSecret.SecretArn",
    }
    assert {name: told.template("data")["Outputs"][name]["Value"] for name in exported} == exported


def test_a_running_stage_can_be_told_to_admit_cloudfront_alone(told: Told, plain: dict[str, dict[str, Any]]) -> None:
    """The functions in the background import the API's own address until they are updated, after the API."""
    before, after = (
        {name: output["Value"] for name, output in template["Outputs"].items() if "Export" in output}
        for template in (plain["pipeline"], told.template("pipeline"))
    )
    assert after == before
    (name,) = [each for each, value in before.items() if value.get("Fn::GetAtt", ("", ""))[1] == "ApiEndpoint"]
    imported = plain["pipeline"]["Outputs"][name]["Export"]["Name"]
    assert imported in json.dumps(plain["background"])
    assert imported not in json.dumps(told.template("background"))


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
        (FIREWALL, "WAF needs a DOMAIN"),
        ({**DOMAIN, **FIREWALL, "client_certificate": CERTIFICATE}, "of a certificate of ACM in us-east-1"),
        ({**DOMAIN, **FIREWALL, "waf_certificate": ""}, "of a certificate of ACM in us-east-1"),
        ({**DOMAIN, **FIREWALL, "truststore": "cloudfront.pem"}, "must be the address of a file in S3"),
        ({**DOMAIN, **FIREWALL, "truststore": "s3://authorities/a.pem"}, "buckets whose names begin with sluice-"),
        ({**DOMAIN, **FIREWALL, "waf": "no"}, "only WAF=yes uses it"),
        ({"waf": "1"}, "waf '1' must be yes or no"),
        ({"firehose_mib": "much"}, "is not a number"),
        (RESTORED | {"restored_database": "sluice-prod"}, "is no DbiResourceId"),
        (RESTORED | {"restored_secret": ""}, "which a restored database needs"),
        ({"restored_secret": RESTORED["restored_secret"]}, "is no DbiResourceId"),
        ({"reserve": "maybe"}, "must be yes or no"),
        ({"shift": "maybe"}, "must be yes or no"),
        ({"first": "1"}, "must be yes or no"),
    ],
)
def test_an_option_that_could_not_work_is_refused(given: dict[str, object], says: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=says):
        define(context("dev", **given), outdir=str(tmp_path))


def test_a_stage_that_keeps_data_must_reserve(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a stage that keeps its data needs RESERVE"):
        define(context("baseline", reserve="no"), outdir=str(tmp_path))
