"""Executions of a state machine, as Step Functions knows them."""

from functools import cache
from typing import Any

from sluice.edge import aws

ANSWER_SECONDS, TRIES = 3, 2


@cache
def _client() -> Any:
    return aws.client("stepfunctions", answer_seconds=ANSWER_SECONDS, tries=TRIES)


def is_running(execution: str) -> bool:
    """Return whether an execution is running."""
    with aws.asking("Step Functions"):
        status: str = _client().describe_execution(executionArn=execution)["status"]
    return status == "RUNNING"


def start(machine: str, name: str, given: str) -> str:
    """Start an execution; return its ARN. One of this name with the same input is the same execution."""
    with aws.asking("Step Functions"):
        started: str = _client().start_execution(stateMachineArn=machine, name=name, input=given)["executionArn"]
    return started
