"""What a deployment needs of its account, from the profile and the options."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from infra.building_blocks.function import Compute
from infra.building_blocks.layers import PANDAS_LAYER
from infra.deployment import Deployment
from infra.options import read_options
from infra.profiles import profile_named
from infra.profiles.profile import Profile
from infra.stores.database import MAJOR
from infra.stores.stream import KAFKA_VERSION


class MissingError(Exception):
    """The account lacks something; the message says what there is, and what to do."""


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What is asked for."""

    deployment: Deployment
    reserved: int
    """The concurrent executions that all functions reserve together; 0 where they reserve none."""
    firehose_mib: float
    """What a delivery stream must take in a second."""
    zones: tuple[str, ...] | None
    """The zones that the deployment names, or None for the region's first."""
    broker: str
    kafka: str
    database: str
    """The class of the database's instance."""
    postgres: str
    """Its major release."""
    database_zones: int
    """In how many zones the database stands."""
    layer: str
    """The ARN of the layer that AWS publishes, behind the region."""


def read_region(checkout: Path) -> str:
    """Read the region of a deployment that names none."""
    return str(json.loads((checkout / "cdk.json").read_text())["context"]["region"])


def read_needs(stage: str, profile_name: str, region: str, given: Mapping[str, str]) -> Needs:
    """Add up what a stage of this profile needs, with the options of its deployment."""
    options = read_options(given.get, region)
    profile = options.apply(profile_named(profile_name))
    deployment = Deployment(
        stage=stage,
        region=region,
        log_days=profile.log_days,
        keeps_data=profile.keeps_data,
        reserves=options.reserves,
    )
    return Needs(
        deployment=deployment,
        reserved=add_reservations(profile) if options.reserves else 0,
        firehose_mib=profile.delivery.quota_mib_per_second,
        zones=options.zones,
        broker=profile.brokers.instance_type,
        kafka=KAFKA_VERSION,
        database=f"db.{profile.database.instance_type}",
        postgres=MAJOR,
        database_zones=2 if profile.database.multi_az else 1,
        layer=PANDAS_LAYER,
    )


def add_reservations(profile: Profile) -> int:
    """Add up the concurrency of all functions of a profile."""
    parts = [getattr(profile, field.name) for field in fields(profile)]
    computes = [each for part in parts for each in (part, getattr(part, "compute", None)) if isinstance(each, Compute)]
    return sum(compute.concurrency for compute in computes)
