"""Everything a function needs to use one resource, in one bundle: the function names the resource once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from constructs import IDependable

from infra.building_blocks.environment import Fact
from infra.building_blocks.layers import Library
from sluice.edge.settings import Settings


@dataclass(frozen=True)
class Reach:
    """A connection that a function may open. It may open no other."""

    to: ec2.IConnectable
    port: int


@dataclass(frozen=True, kw_only=True)
class Access:
    """One store, service or function as another function uses it."""

    grants: Sequence[iam.PolicyStatement] = ()
    reads: Sequence[type[Settings]] = ()
    """The structs with which the function reads where the thing is and how to log in."""
    facts: Mapping[str, Fact] = field(default_factory=dict)
    """Values of fields: of these structs, or of the function's own."""
    reaches: Sequence[Reach] = ()
    libraries: Sequence[Library] = ()
    after: Sequence[IDependable] = ()
    """What a deployment creates or updates before the function."""
