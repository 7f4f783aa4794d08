"""Accepts findings of a security review (cdk-nag, AwsSolutions), with a reason beside the resource."""

from aws_cdk import Acknowledgment, Validations
from constructs import IConstruct


def accept(construct: IConstruct, rule: str, reason: str) -> None:
    """Accept one finding on a construct and everything in it. A finding without a reason fails the tests."""
    Validations.of(construct).acknowledge(Acknowledgment(id=f"AwsSolutions-{rule}", reason=reason))
