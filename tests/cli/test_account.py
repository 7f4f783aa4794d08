"""An account is asked before a deployment, by calls that only read; each refusal says what is, and what to do."""

import io
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from cli import doctor
from cli.__main__ import main
from cli.account import examination, offers
from cli.account.beginnings import BOOTSTRAP_VERSION, find_bootstrap, find_stacks
from cli.account.examination import CHECKS, Check, examine
from cli.account.needs import MissingError, Needs, add_reservations, read_needs, read_region
from cli.account.offers import MB, find_database, find_kafka, find_layer, find_zones
from cli.account.quotas import MIB, find_delivery, find_executions
from cli.stages import CommandError, Target
from infra.profiles import profile_named
from local.findings import Finding
from tests.support.played_account import REGION, PlayedAccount, Script

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
ZONES = {"us-east-1a": "use1-az1", "us-east-1b": "use1-az3", "us-east-1c": "use1-az4", "us-east-1d": "use1-az6"}


def find(check: Check, script: Script, **given: str) -> Finding:
    profile = given.pop("profile", "dev")
    account = PlayedAccount(script)
    (what,) = [what for what, known in CHECKS if known is check]
    needs = read_needs("proof", profile, given.pop("region", REGION), given)
    try:
        finding = Finding(what, check(needs, account.ask, NOW))
    except MissingError as missing:
        finding = Finding(what, str(missing), True)
    account.end()
    return finding


def limits(total: int, unreserved: int) -> dict[str, Any]:
    return {"AccountLimit": {"ConcurrentExecutions": total, "UnreservedConcurrentExecutions": unreserved}}


NO_FUNCTIONS: Script = [("lambda", "list_functions", {"Functions": []})]
DEV = add_reservations(profile_named("dev"))


def test_executions_are_enough_when_a_hundred_stay_free() -> None:
    quota = limits(1000, DEV + 100)
    found = find(find_executions, [("lambda", "get_account_settings", quota), *NO_FUNCTIONS])
    assert found == Finding(
        "Lambda",
        f"{DEV + 100} of 1000 concurrent executions are unreserved; the stage reserves {DEV}, and 100 stay unreserved",
    )


def test_a_new_accounts_ten_executions_are_refused_with_the_number_to_ask_for_and_the_way_without() -> None:
    found = find(find_executions, [("lambda", "get_account_settings", limits(10, 10)), *NO_FUNCTIONS])
    assert found.missing
    assert found.says == (
        f"10 of 10 concurrent executions are unreserved, and the stage reserves {DEV} where 100 must stay unreserved:"
        " `aws service-quotas request-service-quota-increase --region us-east-1 --service-code lambda"
        f" --quota-code L-B99A9384 --desired-value {DEV + 100}`, or deploy with RESERVE=no"
    )


def test_what_other_stages_reserve_is_asked_for_on_top() -> None:
    script: Script = [("lambda", "get_account_settings", limits(1000, 90)), *NO_FUNCTIONS]
    found = find(find_executions, script, profile="baseline")
    baseline = add_reservations(profile_named("baseline"))
    assert f"--desired-value {910 + baseline + 100}`" in found.says
    assert "RESERVE" not in found.says


def test_a_stage_does_not_need_again_what_it_has_reserved() -> None:
    functions = {"Functions": [{"FunctionName": "sluice-proof-ingest"}, {"FunctionName": "sluice-other-ingest"}]}
    script: Script = [
        ("lambda", "get_account_settings", limits(1000, 100)),
        ("lambda", "list_functions", functions),
        ("lambda", "get_function_concurrency", {"ReservedConcurrentExecutions": DEV}),
    ]
    assert not find(find_executions, script).missing


def test_a_stage_without_reservations_takes_what_there_is() -> None:
    found = find(find_executions, [("lambda", "get_account_settings", limits(10, 10)), *NO_FUNCTIONS], reserve="no")
    assert not found.missing
    assert "10 of 10" in found.says


def test_reservations_are_those_of_the_templates_functions() -> None:
    assert DEV + 100 == 261


NO_STREAM: Script = [("cloudwatch", "list_metrics", {"Metrics": []})]


def reporting(mib: float) -> Script:
    metric = {"Dimensions": [{"Name": "DeliveryStreamName", "Value": "sluice-other-raw"}]}
    points = {"Datapoints": [{"Maximum": mib * MIB}]}
    return [
        ("cloudwatch", "list_metrics", {"Metrics": [metric]}),
        ("cloudwatch", "get_metric_statistics", points),
    ]


@pytest.mark.parametrize(
    ("region", "script", "firehose_mib", "missing", "says"),
    [
        ("us-east-1", NO_STREAM, "", False, "takes 5 MiB/s in us-east-1, by AWS's documentation"),
        ("eu-central-1", NO_STREAM, "", True, "takes 1 MiB/s in eu-central-1, by AWS's documentation, and the profile"),
        ("eu-central-1", NO_STREAM, "", True, "deploy with FIREHOSE_MIB=1, which makes more streams, or ask for 5 in"),
        ("eu-central-1", NO_STREAM, "1", False, "the profile counts on 1"),
        ("eu-central-1", reporting(5), "", False, "takes 5 MiB/s in eu-central-1, as a stream of this account reports"),
        ("us-east-1", reporting(5), "40", True, "deploy with FIREHOSE_MIB=5"),
    ],
)
def test_delivery_is_judged_by_what_a_stream_reports_or_the_region_grants(
    region: str, script: Script, firehose_mib: str, missing: bool, says: str
) -> None:
    found = find(find_delivery, script, region=region, firehose_mib=firehose_mib)
    assert found.missing is missing
    assert says in found.says


def zones(names: dict[str, str]) -> Script:
    listed = [{"ZoneName": name, "ZoneId": number} for name, number in names.items()]
    return [("ec2", "describe_availability_zones", {"AvailabilityZones": listed})]


def offered(*names: str) -> Script:
    offers = {"InstanceTypeOfferings": [{"InstanceType": "m7g.large", "Location": name} for name in names]}
    return [("ec2", "describe_instance_type_offerings", offers)]


@pytest.mark.parametrize(
    ("script", "chosen", "missing", "says"),
    [
        (
            zones(ZONES) + offered(*ZONES),
            "",
            True,
            "us-east-1b (use1-az3) cannot have kafka.m7g.large: deploy with ZONES=us-east-1a,us-east-1c,us-east-1d",
        ),
        (zones(ZONES) + offered(*ZONES), "us-east-1a,us-east-1c,us-east-1d", False, "have kafka.m7g.large"),
        (zones(ZONES) + offered("us-east-1a", "us-east-1c"), "", True, "and 2 zones can: choose another region"),
        (zones({"us-east-1a": "az1"}) + offered("us-east-1a"), "", True, "the region has 1; brokers stand in 3"),
    ],
)
def test_zones_without_brokers_are_refused_with_those_that_have_them(
    script: Script, chosen: str, missing: bool, says: str
) -> None:
    found = find(find_zones, script, zones=chosen)
    assert found.missing is missing
    assert says in found.says


def versions(*names: str) -> Script:
    return [("rds", "describe_db_engine_versions", {"DBEngineVersions": [{"EngineVersion": name} for name in names]})]


def orderable(*names: str, storage: str = "gp3", multi_az: bool = True) -> Script:
    option = {
        "StorageType": storage,
        "MultiAZCapable": multi_az,
        "AvailabilityZones": [{"Name": name} for name in names],
    }
    answer = {"OrderableDBInstanceOptions": [option]}
    return [("rds", "describe_orderable_db_instance_options", answer), *zones(ZONES)]


@pytest.mark.parametrize(
    ("script", "profile", "missing", "says"),
    [
        (versions("17.6", "18.9", "18.10") + orderable("us-east-1a"), "dev", False, "RDS has 18.10 on db.t4g.medium"),
        (versions("18.3") + orderable("us-east-1a"), "baseline", True, "in 1 of us-east-1a, us-east-1b, us-east-1c"),
        (versions("18.3") + orderable("us-east-1a", "us-east-1b"), "baseline", False, "in us-east-1a, us-east-1b"),
        (versions("18.3") + orderable("us-east-1a", "us-east-1b", multi_az=False), "baseline", True, "and 2 are"),
        (versions("18.3") + orderable("us-east-1a", storage="io1"), "dev", True, "with gp3 in 0 of"),
        (versions("16.9", "17.6"), "dev", True, "RDS offers 17.6 at most here, and the schema needs 18"),
        (versions(), "dev", True, "RDS offers none at most"),
    ],
)
def test_the_databases_release_and_instance_must_be_offered_in_its_zones(
    script: Script, profile: str, missing: bool, says: str
) -> None:
    found = find(find_database, script, profile=profile)
    assert found.missing is missing
    assert says in found.says


@pytest.mark.parametrize(
    ("versions", "missing", "says"),
    [
        ([("3.9.x", "ACTIVE"), ("4.1.x.kraft", "ACTIVE")], False, "creates clusters of 4.1.x.kraft"),
        ([("4.1.x.kraft", "DEPRECATED"), ("4.3.x.kraft", "ACTIVE")], True, "MSK creates 4.3.x.kraft here, and the"),
    ],
)
def test_the_brokers_release_must_be_one_that_can_be_created(
    versions: list[tuple[str, str]], missing: bool, says: str
) -> None:
    answer = {"KafkaVersions": [{"Version": version, "Status": status} for version, status in versions]}
    found = find(find_kafka, [("kafka", "list_kafka_versions", answer)])
    assert found.missing is missing
    assert says in found.says


@pytest.mark.parametrize(
    ("size", "missing", "says"),
    [(150, False, "150 MB unzipped; a function has room for 204"), (210, True, "takes 210 MB unzipped, and a")],
)
def test_the_layer_must_fit_beside_ours(size: int, missing: bool, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as files:
        for number in range(size // 10):
            files.writestr(f"python/{number}", bytes(10 * MB))
    monkeypatch.setattr(offers, "_fetch", {"https://layer": written.getvalue()}.__getitem__)
    found = find(find_layer, [("lambda", "get_layer_version_by_arn", {"Content": {"Location": "https://layer"}})])
    assert found.missing is missing
    assert says in found.says


def test_the_layer_must_be_published_in_the_region() -> None:
    found = find(find_layer, [("lambda", "get_layer_version_by_arn", "ResourceNotFoundException")])
    assert found.missing
    assert "is not published in us-east-1: choose another region" in found.says


@pytest.mark.parametrize(
    ("answer", "missing", "says"),
    [
        ({"Parameter": {"Value": str(BOOTSTRAP_VERSION)}}, False, f"version {BOOTSTRAP_VERSION}"),
        ({"Parameter": {"Value": "5"}}, True, "has version 5, and the stacks need 6: run `make bootstrap"),
        ("ParameterNotFound", True, "us-east-1 is not prepared, and a deployment needs its bucket and roles: run"),
    ],
)
def test_the_region_must_be_bootstrapped(answer: dict[str, Any] | str, missing: bool, says: str) -> None:
    found = find(find_bootstrap, [("ssm", "get_parameter", answer)])
    assert found.missing is missing
    assert says in found.says


def stack(status: str, protected: bool = False) -> tuple[str, str, dict[str, Any]]:
    described = {"StackName": "s", "CreationTime": NOW, "StackStatus": status, "EnableTerminationProtection": protected}
    return ("cloudformation", "describe_stacks", {"Stacks": [described]})


GONE = ("cloudformation", "describe_stacks", "ValidationError")


@pytest.mark.parametrize(
    ("script", "profile", "missing", "says"),
    [
        ([GONE] * 4, "dev", False, "0 of 4 stacks exist"),
        ([GONE] * 4, "baseline", False, "0 of 4 stacks exist: deploy with FIRST=yes"),
        ([stack("UPDATE_COMPLETE")] * 4, "baseline", False, "4 of 4 stacks exist"),
        ([stack("UPDATE_COMPLETE", protected=True)] * 3 + [GONE], "baseline", False, "3 of 4 stacks exist"),
        ([stack("CREATE_COMPLETE"), stack("ROLLBACK_COMPLETE"), GONE, GONE], "dev", False, "2 of 4"),
        ([stack("REVIEW_IN_PROGRESS"), GONE, GONE, GONE], "dev", False, "1 of 4"),
        ([stack("CREATE_IN_PROGRESS"), GONE, GONE, GONE], "dev", True, "wait until it has ended"),
        (
            [stack("CREATE_COMPLETE"), stack("ROLLBACK_COMPLETE", protected=True), GONE, GONE],
            "baseline",
            True,
            (
                "sluice-proof-data is in ROLLBACK_COMPLETE: run `aws cloudformation update-termination-protection"
                " --no-enable-termination-protection --region us-east-1 --stack-name sluice-proof-data`,"
                " and deploy with FIRST=yes"
            ),
        ),
        ([stack("ROLLBACK_FAILED"), GONE, GONE, GONE], "dev", True, "run `aws cloudformation delete-stack"),
        (
            [stack("DELETE_FAILED", protected=True), GONE, GONE, GONE],
            "baseline",
            True,
            "`, then `aws cloudformation del",
        ),
        ([stack("UPDATE_ROLLBACK_FAILED")] * 4, "baseline", True, "continue-update-rollback --region us"),
    ],
)
def test_stacks_of_a_failed_deployment_are_named_with_what_to_do(
    script: Script, profile: str, missing: bool, says: str
) -> None:
    found = find(find_stacks, script, profile=profile)
    assert found.missing is missing
    assert says in found.says
    # FIRST lifts the protection of what runs.
    assert "FIRST" not in found.says or "FIRST" in says


def test_a_call_that_is_refused_is_named_and_the_other_checks_go_on() -> None:
    identity: Script = [("sts", "get_caller_identity", {"Account": "123456789012"})]
    refused: Script = [
        ("ssm", "get_parameter", "AccessDeniedException"),
        ("cloudformation", "describe_stacks", "AccessDenied"),
        ("ec2", "describe_availability_zones", "UnauthorizedOperation"),
        ("kafka", "list_kafka_versions", "AccessDeniedException"),
        ("rds", "describe_db_engine_versions", "AccessDenied"),
        ("cloudwatch", "list_metrics", "AccessDenied"),
        ("lambda", "get_layer_version_by_arn", "AccessDeniedException"),
        ("lambda", "get_account_settings", "AccessDeniedException"),
    ]
    account = PlayedAccount(identity + refused)
    needs = read_needs("proof", "dev", REGION, {})
    first, *others = examine(needs, Target("proof", Path()), lambda _, service: account.ask(service))
    account.end()
    assert first == Finding("account", "123456789012, region us-east-1")
    assert [one.what for one in others] == [what for what, _ in CHECKS]
    assert all(one.missing and "use credentials that may call it" in one.says for one in others)
    assert others[0].says.startswith("AWS answers GetParameter with AccessDeniedException (as AWS says): use")


def test_a_call_that_is_throttled_does_not_blame_the_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examination, "CHECKS", (("bootstrap", find_bootstrap),))
    identity = ("sts", "get_caller_identity", {"Account": "123456789012"})
    account = PlayedAccount([identity, ("ssm", "get_parameter", "ThrottlingException")])
    _, found = examine(read_needs("proof", "dev", REGION, {}), Target("", Path()), lambda _, name: account.ask(name))
    assert found == Finding("bootstrap", "AWS answers GetParameter with ThrottlingException (as AWS says)", True)


def test_a_service_that_does_not_answer_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> str:
        raise EndpointConnectionError(endpoint_url="https://ssm.us-east-1.amazonaws.com")

    monkeypatch.setattr(examination, "CHECKS", (("bootstrap", fail),))
    account = PlayedAccount([("sts", "get_caller_identity", {"Account": "123456789012"})])
    _, found = examine(read_needs("proof", "dev", REGION, {}), Target("", Path()), lambda _, name: account.ask(name))
    assert found.missing
    assert "AWS did not answer" in found.says


def test_without_credentials_nothing_else_is_asked() -> None:
    account = PlayedAccount([("sts", "get_caller_identity", "ExpiredToken")])
    with pytest.raises(CommandError, match="AWS did not accept the credentials") as raised:
        examine(read_needs("proof", "dev", REGION, {}), Target("", Path()), lambda _, name: account.ask(name))
    assert raised.value.status == 2


def test_the_command_prints_a_line_for_each_finding_and_fails_where_one_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[Needs, Target]] = []

    def examined(needs: Needs, target: Target) -> list[Finding]:
        asked.append((needs, target))
        return [Finding("account", "123456789012"), Finding("Lambda", "10 of 10", missing)]

    monkeypatch.setattr(examination, "examine", examined)
    missing = True
    assert main(["doctor", "--aws", "--stage", "prod", "--profile", "baseline", "--aws-profile", "ops"]) == 1
    assert capsys.readouterr().out.splitlines() == ["ok       account  123456789012", "missing  Lambda   10 of 10"]
    needs, target = asked[0]
    assert (needs.deployment.stage, needs.deployment.keeps_data) == ("prod", True)
    assert needs.deployment.region == target.region == read_region(Path(doctor.__file__).parents[1])
    assert target.aws_profile == "ops"
    missing = False
    assert main(["doctor", "--aws"]) == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--profile", "huge"], "unknown profile 'huge'"),
        (["--stage", "My-Stage"], "stage 'My-Stage' must be"),
        (["--region", "moon"], "not the name of an AWS region"),
        (["--zones", "us-east-1a"], "must be 3 different zones of us-east-1"),
        (["--reserve", "perhaps"], "reserve 'perhaps' must be yes or no"),
        (["--profile", "baseline", "--reserve", "no"], "a stage that keeps its data needs RESERVE"),
        (["--firehose-mib", "much"], "'much' is not a number"),
        (["--firehose-mib", "0"], "a stream takes something"),
    ],
)
def test_what_could_not_be_deployed_is_refused_before_aws_is_asked(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "--aws", *arguments]) == 2
    assert says in capsys.readouterr().err
