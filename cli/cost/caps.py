"""What each thing that can run away costs an hour at most, the setting that bounds it, and the alarm that fires."""

from collections.abc import Iterator

import msgspec

from cli.cost.bill import write_bill
from cli.cost.figures import Figures
from cli.cost.front import GB, front
from cli.cost.prices import Prices
from cli.cost.templates import Deployed
from cli.cost.workload import DAYS, Workload

MIB = 2**20
QUERIES_AN_HOUR = 30
"""Assumed: five people, ten minutes a query."""


class Cap(msgspec.Struct, frozen=True):
    """One bound."""

    what: str
    bound: str
    setting: str
    usd_an_hour: float
    alarm: str
    """The alarm's name without the stage."""


def caps(deployed: Deployed, figures: Figures, prices: Prices) -> Iterator[Cap]:
    """List the bounds; prices are those of the first unit, without the discount of large months."""

    def usd(name: str, units: float) -> float:
        first = prices[name].usd
        return units / prices[name].per * (first[0][1] if isinstance(first, list) else first)

    of_devices = {route: rate for route, rate in deployed.throttles.items() if "/v1/admin/" not in route}
    posted = sum(rate for route, rate in of_devices.items() if route.startswith("POST "))
    asked = sum(rate for route, rate in of_devices.items() if not route.startswith("POST "))
    administered = sum(deployed.throttles.values()) - posted - asked
    hour = Workload(1, posted, 24, 1)
    one_event = write_bill(front(deployed, hour, figures), prices)
    by_requests = sum(
        line.usd
        for line in one_event.lines
        if line.driver == "requests" and not line.item.startswith("ingest, run time")
    )
    yield Cap(
        "Devices post as fast as they can, one event at a time",
        f"{posted:,} requests a second",
        "`throttles` of the profile",
        by_requests / (24 * DAYS),
        "ingest-small-requests",
    )
    for verb, also in (("ingest", "its throttles"), ("archive", "its pollers"), ("aggregate", "its pollers")):
        function = deployed.functions[verb]
        yield Cap(
            f"Every environment of {verb} is busy all the time",
            f"{function.concurrency} environments",
            f"`concurrency` of {verb}, and {also}",
            usd("lambda_gb_second_arm", function.concurrency * function.memory_gib * 3600),
            "budget",
        )
    yield Cap(
        "Readers ask as fast as they can",
        f"{asked:,} requests a second",
        "`throttle` of query, trace and show",
        usd("http_api_request", asked * 3600)
        + usd("internet_out_gb", asked * 3600 * figures.answer_kilobytes.value * 1e3 / GB),
        "budget",
    )
    yield Cap(
        "Admins ask as fast as they can",
        f"{administered:,} requests a second",
        "`throttle` of admin",
        usd("http_api_request", administered * 3600),
        "budget",
    )
    taken = deployed.streams.mib_per_second * MIB * 3600 / GB
    yield Cap(
        "Events are as large as they may be",
        f"{deployed.streams.mib_per_second:g} MiB a second into Firehose",
        "`quota_mib_per_second` of the profile's `delivery`, which AWS grants for each stream",
        usd("firehose_gb", taken) + usd("firehose_conversion_gb", taken) + usd("interface_endpoint_gb", taken),
        "delivery-quota",
    )
    yield Cap(
        "Thirty queries an hour without a condition on the day",
        f"{deployed.scan_limit_gib:,.0f} GiB a query",
        "`query_scan_limit_gib` of the profile",
        usd("athena_tb", QUERIES_AN_HOUR * deployed.scan_limit_gib * 2**30 / 1e12),
        "seek-scans",
    )
    yield Cap(
        "The cache fills and is asked without end",
        f"{deployed.cache_maximum_gib} GiB, {deployed.cache_maximum_ecpu:,} units a second",
        "`cache` of the profile",
        usd("valkey_gb_hour", deployed.cache_maximum_gib) + usd("valkey_ecpu", deployed.cache_maximum_ecpu * 3600),
        "cache-ecpu",
    )
    database = deployed.database
    kind = "multi_az" if database.multi_az else "single_az"
    more = database.maximum_storage_gib - database.storage_gib
    yield Cap(
        "The database's volume grows",
        f"{database.maximum_storage_gib:,} GiB",
        "`maximum_storage_gib` of the profile",
        usd(f"rds_gp3_gb_month_{kind}", more) / (24 * DAYS),
        "budget",
    )
