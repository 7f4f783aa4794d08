"""What a region offers: zones with our brokers, releases of Kafka and PostgreSQL, and the layer that AWS publishes."""

import io
import urllib.request
import zipfile
from datetime import datetime
from typing import Any

from cli.account.needs import MissingError, Needs
from cli.aws import OpenClient
from infra.building_blocks.layers import FUNCTION_MB, OURS_MB
from infra.network import AVAILABILITY_ZONES

MB = 10**6
DOWNLOAD_SECONDS = 60
WITHOUT_BROKERS = {"use1-az3"}
"""The ids of zones in which MSK places no broker, even where EC2 has the instance."""


def find_zones(needs: Needs, client_of: OpenClient, _now: datetime) -> str:
    """Find zones that have the brokers' instances: a cluster in any other zone is refused."""
    client = client_of("ec2")
    machine = needs.broker.removeprefix("kafka.")
    ids = _list_zones(client)
    offers = client.describe_instance_type_offerings(
        LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": [machine]}]
    )
    offered = {each["Location"] for each in offers["InstanceTypeOfferings"]}
    usable = [name for name in sorted(ids) if name in offered and ids[name] not in WITHOUT_BROKERS]
    chosen = needs.zones or tuple(sorted(ids)[:AVAILABILITY_ZONES])
    if len(ids) < AVAILABILITY_ZONES:
        raise MissingError(f"the region has {len(ids)}; brokers stand in {AVAILABILITY_ZONES}: choose another region")
    without = [zone for zone in chosen if zone not in usable]
    if not without:
        return f"{', '.join(chosen)} have {needs.broker}"
    named = ", ".join(f"{zone} ({ids.get(zone, 'unknown')})" for zone in without)
    lacks = f"{named} cannot have {needs.broker}"
    if len(usable) < AVAILABILITY_ZONES:
        raise MissingError(f"{lacks}, and {len(usable)} zones can: choose another region")
    raise MissingError(f"{lacks}: deploy with ZONES={','.join(usable[:AVAILABILITY_ZONES])}")


def find_kafka(needs: Needs, client_of: OpenClient, _now: datetime) -> str:
    """Find the brokers' release among those that MSK still creates."""
    pages = client_of("kafka").get_paginator("list_kafka_versions").paginate()
    active = [each["Version"] for page in pages for each in page["KafkaVersions"] if each["Status"] == "ACTIVE"]
    if needs.kafka in active:
        return f"MSK creates clusters of {needs.kafka}"
    raise MissingError(
        f"MSK creates {', '.join(active[-3:]) or 'nothing'} here, and the templates say {needs.kafka}: choose another"
        " region, or change KAFKA_VERSION in infra/stores/stream.py"
    )


def find_database(needs: Needs, client_of: OpenClient, _now: datetime) -> str:
    """Find the database's release and its instance, in as many of the zones as it stands in."""
    client = client_of("rds")
    pages = client.get_paginator("describe_db_engine_versions").paginate(Engine="postgres")
    releases = [each["EngineVersion"] for page in pages for each in page["DBEngineVersions"]]
    minors = [each for each in releases if each.partition(".")[0] == needs.postgres]
    if not minors:
        newest = max(releases, key=_number, default="none")
        raise MissingError(
            f"RDS offers {newest} at most here, and the schema needs {needs.postgres}: choose another region"
        )
    minor = max(minors, key=_number)
    asked = {"Engine": "postgres", "EngineVersion": minor, "DBInstanceClass": needs.database, "Vpc": True}
    options = [
        option
        for page in client.get_paginator("describe_orderable_db_instance_options").paginate(**asked)
        for option in page["OrderableDBInstanceOptions"]
        if option["StorageType"] == "gp3" and (option["MultiAZCapable"] or needs.database_zones == 1)
    ]
    chosen = needs.zones or tuple(sorted(_list_zones(client_of("ec2")))[:AVAILABILITY_ZONES])
    zones = {zone["Name"] for option in options for zone in option["AvailabilityZones"]} & set(chosen)
    if len(zones) >= needs.database_zones:
        return f"RDS has {minor} on {needs.database} in {', '.join(sorted(zones))}"
    raise MissingError(
        f"RDS has {minor} on {needs.database} with gp3 in {len(zones)} of {', '.join(chosen)}, and"
        f" {needs.database_zones} are needed: deploy with other ZONES, or change the profile's instance_type"
    )


def find_layer(needs: Needs, client_of: OpenClient, _now: datetime) -> str:
    """Find the layer that AWS publishes, in this region, and measure it."""
    client = client_of("lambda")
    arn = f"arn:aws:lambda:{needs.deployment.region}:{needs.layer}"
    name = arn.partition(":layer:")[2]
    try:
        published = client.get_layer_version_by_arn(Arn=arn)["Content"]["Location"]
    except (client.exceptions.ResourceNotFoundException, client.exceptions.InvalidParameterValueException) as error:
        raise MissingError(
            f"{name} is not published in {needs.deployment.region}: choose another region, or another version in"
            " infra/building_blocks/layers.py"
        ) from error
    size = _unzip(_fetch(published)) / MB
    room = FUNCTION_MB - OURS_MB
    if size > room:
        raise MissingError(
            f"{name} takes {size:.0f} MB unzipped, and a function has room for {room}: choose another version in"
            " infra/building_blocks/layers.py"
        )
    return f"{name} takes {size:.0f} MB unzipped; a function has room for {room}"


def _fetch(address: str) -> bytes:
    """Download a layer from the address that Lambda gives for it, which is one of S3."""
    with urllib.request.urlopen(address, timeout=DOWNLOAD_SECONDS) as answer:  # noqa: S310 - AWS says where
        layer: bytes = answer.read()
    return layer


def _unzip(layer: bytes) -> int:
    """Add up what a zip file takes once it is unzipped, in bytes."""
    with zipfile.ZipFile(io.BytesIO(layer)) as files:
        return sum(file.file_size for file in files.infolist())


def _list_zones(client: Any) -> dict[str, str]:
    """List the ids of the region's zones by their names, which each account has of its own."""
    conditions = {"zone-type": "availability-zone", "state": "available"}
    found = client.describe_availability_zones(
        Filters=[{"Name": name, "Values": [value]} for name, value in conditions.items()]
    )
    return {zone["ZoneName"]: zone["ZoneId"] for zone in found["AvailabilityZones"]}


def _number(release: str) -> list[int]:
    return [int(part) for part in release.partition("-")[0].split(".") if part.isdecimal()]
