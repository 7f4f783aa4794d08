"""A state machine may run its functions and its own maps, keeps what it was given from logs, and is watched."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cdk_nag import AwsSolutionsChecks

from tests.infra.conventions import (
    every_alarm_is_heard_and_understood,
    every_function_is_started,
    every_log_expires,
)
from tests.infra.machines import PREFIX, Synthesized, synthesize_machine
from tests.infra.templates import Templates, listed
from tests.infra.test_lint import IGNORED
from tests.infra.test_nag import REVIEWED_ELSEWHERE


@pytest.fixture(scope="module")
def synthesized(tmp_path_factory: pytest.TempPathFactory) -> Synthesized:
    return synthesize_machine(tmp_path_factory.mktemp("machine"))


@pytest.fixture(scope="module")
def machine(synthesized: Synthesized) -> Templates:
    return synthesized.templates


def properties(machine: Templates) -> dict[str, Any]:
    return machine.only("AWS::StepFunctions::StateMachine").properties


def statements(machine: Templates) -> Iterator[tuple[str, str, Any]]:
    """What the machine may do: action, resource and condition, one of each."""
    role = machine.named(properties(machine)["RoleArn"]["Fn::GetAtt"][0])
    (policy,) = role.properties["Policies"]
    for statement in policy["PolicyDocument"]["Statement"]:
        assert statement["Effect"] == "Allow"
        for action in listed(statement["Action"]):
            for resource in listed(statement["Resource"]):
                yield action, text(resource), statement.get("Condition")


def text(value: Any) -> str:
    """An ARN as it would read, with names for what only a deployment knows."""
    if isinstance(value, str):
        return value
    if "Ref" in value:
        return str(value["Ref"])
    if "Fn::ImportValue" in value:
        return str(value["Fn::ImportValue"])
    if "Fn::GetAtt" in value:
        return ".".join(value["Fn::GetAtt"])
    separator, parts = value["Fn::Join"]
    return str(separator).join(map(text, parts))


ARN = "arn:AWS::Partition:states:us-east-1:AWS::AccountId"


def test_a_machine_is_standard_encrypted_and_ends(machine: Templates) -> None:
    found = properties(machine)

    assert (found["StateMachineName"], found["StateMachineType"]) == ("sluice-proof-copy", "STANDARD")
    assert found["EncryptionConfiguration"]["Type"] == "CUSTOMER_MANAGED_KMS_KEY"
    assert "Key" in json.dumps(found["EncryptionConfiguration"]["KmsKeyId"])
    assert json.loads(text(found["DefinitionString"]))["TimeoutSeconds"] == 7_200


def test_its_log_holds_errors_and_nothing_that_it_was_given(machine: Templates) -> None:
    logging = properties(machine)["LoggingConfiguration"]

    assert (logging["Level"], logging["IncludeExecutionData"]) == ("ERROR", False)
    (destination,) = logging["Destinations"]
    group = machine.named(destination["CloudWatchLogsLogGroup"]["LogGroupArn"]["Fn::GetAtt"][0])
    assert group.properties["LogGroupName"] == "/aws/vendedlogs/states/sluice-proof-copy"
    assert not list(every_log_expires(machine))


def test_its_one_policy_holds_all_that_it_may_do(machine: Templates) -> None:
    role = properties(machine)["RoleArn"]["Fn::GetAtt"][0]
    attached = [each.name for each in machine.every("AWS::IAM::Policy") if role in json.dumps(each.properties)]

    assert attached == []
    assert {action.partition(":")[0] for action, _, _ in statements(machine)} == {
        "kms",
        "lambda",
        "logs",
        "s3",
        "states",
    }


def test_it_invokes_its_functions_and_no_version_of_them(machine: Templates) -> None:
    functions = {name: each.name for name, each in machine.functions().items()}
    invoked = {resource for action, resource, _ in statements(machine) if action == "lambda:InvokeFunction"}

    assert invoked == {f"{functions[verb]}.Arn" for verb in ("lookup", "recall")}


def test_a_function_that_a_machine_runs_is_started(machine: Templates) -> None:
    assert [each.partition(":")[0] for each in every_function_is_started(machine)] == ["show"]


def test_its_maps_start_watch_and_stop_executions_of_its_own(machine: Templates) -> None:
    own = {(action, resource) for action, resource, _ in statements(machine) if action.startswith("states:")}

    assert own == {
        ("states:StartExecution", f"{ARN}:stateMachine:sluice-proof-copy"),
        *(
            (f"states:{may}", f"{ARN}:execution:sluice-proof-copy{which}")
            for may in ("DescribeExecution", "StopExecution")
            for which in (":*", "/*:*")
        ),
    }


def test_it_reads_lists_of_items_and_no_other_object(machine: Templates) -> None:
    (read,) = [resource for action, resource, _ in statements(machine) if action.startswith("s3:")]

    assert "Plans" in read
    assert read.endswith(f"/{PREFIX}*")


def test_without_a_map_it_reads_and_starts_nothing(tmp_path: Path) -> None:
    machine = synthesize_machine(tmp_path, items=None).templates

    assert {action.partition(":")[0] for action, _, _ in statements(machine)} == {"kms", "lambda", "logs"}


def test_it_uses_the_key_for_what_it_keeps_for_its_list_and_for_its_log(machine: Templates) -> None:
    uses: dict[str, set[str]] = {}
    for action, _, condition in statements(machine):
        if action.startswith("kms:"):
            uses.setdefault(text_of(condition), set()).add(action)
    kept = f"{ARN}:stateMachine:sluice-proof-copy"

    assert uses == {
        f"aws:states:stateMachineArn {kept} {kept}/*": {"kms:Decrypt", "kms:GenerateDataKey"},
        "SourceArn arn:AWS::Partition:logs:us-east-1:AWS::AccountId:*": {"kms:GenerateDataKey"},
        "": {"kms:Decrypt"},
    }


def text_of(condition: Any) -> str:
    if condition is None:
        return ""
    ((_, ((context, values),)),) = [(test, tuple(keys.items())) for test, keys in condition.items()]
    return " ".join([context.removeprefix("kms:EncryptionContext:"), *map(text, listed(values))])


def test_the_delivery_of_logs_may_decrypt_nothing_but_logs(machine: Templates) -> None:
    (key,) = machine.every("AWS::KMS::Key")
    (delivery,) = [
        each
        for each in key.properties["KeyPolicy"]["Statement"]
        if each["Principal"].get("Service") == "delivery.logs.amazonaws.com"
    ]

    assert delivery["Action"] == "kms:Decrypt"
    assert text_of(delivery["Condition"]).startswith("SourceArn ")


def test_only_this_accounts_state_machines_take_the_role(machine: Templates) -> None:
    role = machine.named(properties(machine)["RoleArn"]["Fn::GetAtt"][0])
    (trust,) = role.properties["AssumeRolePolicyDocument"]["Statement"]

    assert trust["Principal"] == {"Service": "states.amazonaws.com"}
    assert trust["Condition"] == {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}


@pytest.mark.parametrize(
    ("alarm", "metric", "threshold"),
    [
        ("failed", "ExecutionsFailed", 0),
        ("timed-out", "ExecutionsTimedOut", 0),
        ("aborted", "ExecutionsAborted", 0),
        ("slow", "ExecutionTime", 30 * 60_000),
    ],
)
def test_how_executions_end_is_watched(machine: Templates, alarm: str, metric: str, threshold: int) -> None:
    found = machine.alarms()[f"copy-machine-{alarm}"].properties

    assert (found["Namespace"], found["MetricName"], found["Threshold"]) == ("AWS/States", metric, threshold)
    (dimension,) = found["Dimensions"]
    assert (dimension["Name"], text(dimension["Value"])) == (
        "StateMachineArn",
        f"{ARN}:stateMachine:sluice-proof-copy",
    )
    assert not list(every_alarm_is_heard_and_understood(machine))


def test_a_function_may_start_it_or_describe_its_executions_and_is_told_which_it_starts(machine: Templates) -> None:
    granted = machine.granted("show")
    told = machine.functions()["show"].properties["Environment"]["Variables"]["COPY_MACHINE"]

    assert text(told) == f"{ARN}:stateMachine:sluice-proof-copy"
    assert {action for action in granted if action.startswith("states:")} == {
        "states:DescribeExecution",
        "states:StartExecution",
    }
    assert [text(json.loads(each)) for each in granted["states:StartExecution"]] == [text(told)]
    assert {text(json.loads(each)) for each in granted["states:DescribeExecution"]} == {
        f"{ARN}:execution:sluice-proof-copy:*"
    }


def test_the_way_to_it_is_an_endpoint_in_one_zone_that_admits_who_names_it(machine: Templates) -> None:
    (endpoint,) = [
        each
        for each in machine.every("AWS::EC2::VPCEndpoint")
        if "states" in json.dumps(each.properties["ServiceName"])
    ]
    (admitted,) = [
        each for each in machine.every("AWS::EC2::SecurityGroupIngress") if "StatesDoor" in json.dumps(each.properties)
    ]

    assert len(endpoint.properties["SubnetIds"]) == 1
    assert "Show" in json.dumps(admitted.properties["SourceSecurityGroupId"])


def test_an_execution_is_slow_before_it_is_ended(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="called slow before it is ended"):
        synthesize_machine(tmp_path, slow_after_minutes=120)


def test_a_review_and_the_schemas_of_aws_find_nothing(synthesized: Synthesized) -> None:
    found = [
        violation.rule_name
        for violation in AwsSolutionsChecks().validate_scope(synthesized.app).violations
        if not violation.rule_name.startswith(REVIEWED_ELSEWHERE)
        and any("Machine" in (each.construct_path or "") for each in violation.violating_resources)
    ]
    assert found == []
    linter = Path(sys.executable).with_name("cfn-lint")
    files = map(str, synthesized.templates.files.values())
    linted = subprocess.run(
        [str(linter), "--ignore-checks", *IGNORED, "--regions", "us-east-1", "--", *files],
        capture_output=True,
        text=True,
        check=False,
    )
    assert linted.returncode == 0, linted.stdout + linted.stderr
