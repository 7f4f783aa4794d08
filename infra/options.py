"""What a deployment is told beside its stage, profile and region: the context that `make deploy` passes on."""

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from infra.api.domain import Domain
from infra.api.firewall import Certificates
from infra.building_blocks.shift import AT_ONCE
from infra.deployment import require
from infra.network import AVAILABILITY_ZONES, SUBNET_BITS
from infra.profiles.profile import Profile
from infra.stores.database import Restored

# Three subnets in a network take the room of four.
SMALLEST_NETWORK = SUBNET_BITS - 2
YES, NO = "yes", "no"
NAMES = (
    *("zones", "cidr", "domain", "certificate", "firehose_mib", "restored_database", "restored_secret"),
    *("waf_certificate", "client_certificate", "truststore"),
)


@dataclass(frozen=True)
class Options:
    """The choices of one deployment. Without any, it has those of its profile."""

    zones: tuple[str, ...] | None = None
    """The names of the zones; else the region's first three."""
    cidr: str | None = None
    """The addresses of the network; else 10.0.0.0/16."""
    domain: Domain | None = None
    firewall: Certificates | None = None
    """What CloudFront and WAF in front of the API need, where they are asked for."""
    firehose_mib: float | None = None
    """What AWS lets one delivery stream take, where it differs from the profile."""
    first: bool = False
    """Whether the stage is deployed for the first time."""
    reserves: bool = True
    """Whether functions reserve their concurrency."""
    shifts: bool = True
    """Whether the release shifts step by step, and goes back on an alarm."""
    restored: Restored | None = None
    """The database that was restored in place of the one that was created."""

    def apply(self, profile: Profile) -> Profile:
        """Return the profile with what AWS grants here, and what this deployment leaves out."""
        if self.firehose_mib is not None:
            profile = replace(profile, delivery=replace(profile.delivery, quota_mib_per_second=self.firehose_mib))
        if not self.shifts:
            profile = replace(profile, shift_minutes=AT_ONCE, ingest=replace(profile.ingest, shift_minutes=AT_ONCE))
        return profile


def read_options(context: Callable[[str], object], region: str) -> Options:
    """Read the options from the context, which looks values up by name, and refuse what could not work."""
    given = {name: str(context(name) or "") for name in NAMES}
    restored = (given["restored_database"], given["restored_secret"])
    domain = Domain(given["domain"], given["certificate"]) if given["domain"] or given["certificate"] else None
    return Options(
        zones=_read_zones(given["zones"], region),
        cidr=_read_cidr(given["cidr"]),
        domain=domain,
        firewall=_read_firewall(_read_choice("waf", context("waf"), NO), given, domain),
        firehose_mib=_read_number(given["firehose_mib"]),
        first=_read_choice("first", context("first"), NO),
        reserves=_read_choice("reserve", context("reserve"), YES),
        shifts=_read_choice("shift", context("shift"), YES),
        restored=Restored(*restored) if any(restored) else None,
    )


def _read_zones(given: str, region: str) -> tuple[str, ...] | None:
    if not given:
        return None
    zones = tuple(given.split(","))
    require(
        len(set(zones)) == len(zones) == AVAILABILITY_ZONES
        and all(re.fullmatch(rf"{region}[a-z]", zone) for zone in zones),
        f"zones {given!r} must be {AVAILABILITY_ZONES} different zones of {region}, as {region}a,{region}b,{region}c",
    )
    return zones


def _read_cidr(given: str) -> str | None:
    if not given:
        return None
    try:
        network = ipaddress.IPv4Network(given)
    except ValueError as error:
        raise ValueError(f"cidr {given!r} is no IPv4 network: {error}") from error
    require(
        network.is_private and 16 <= network.prefixlen <= SMALLEST_NETWORK,
        f"cidr {given!r} must be a private network of /16 to /{SMALLEST_NETWORK}:"
        f" it holds {AVAILABILITY_ZONES} subnets of /{SUBNET_BITS}",
    )
    return given


def _read_firewall(asked: bool, given: Mapping[str, str], domain: Domain | None) -> Certificates | None:
    if not asked:
        unused = [name for name in ("waf_certificate", "client_certificate", "truststore") if given[name]]
        require(not unused, f"{' and '.join(unused)}: only WAF=yes uses it")
        return None
    require(domain is not None, "WAF needs a DOMAIN: CloudFront answers under it, and the API then knows no other name")
    return Certificates(given["waf_certificate"], given["client_certificate"], given["truststore"] or None)


def _read_number(given: str) -> float | None:
    if not given:
        return None
    try:
        return float(given)
    except ValueError as error:
        raise ValueError(f"firehose_mib {given!r} is not a number of MiB per second") from error


def _read_choice(name: str, given: object, default: str) -> bool:
    said = str(given or default)
    require(said in (YES, NO), f"{name} {said!r} must be {YES} or {NO}")
    return said == YES
