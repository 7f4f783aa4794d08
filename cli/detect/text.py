"""The result of a backtest as sentences."""

from collections.abc import Iterator, Mapping
from typing import Any

CUTS = {
    "time": "its time was used up",
    "windows": "as many minutes were read as a backtest may read",
    "verdicts": "it found as many minutes with verdicts as a backtest may hold",
}


def write_result(result: Mapping[str, Any]) -> Iterator[str]:
    """Write how many incidents there were, and how much of the fleet was tested."""
    rate = result["incidents_per_100_device_days"]
    per = "no device had readings of the series" if rate is None else f"{rate:g} for 100 device-days"
    yield f"Incidents: {result['incidents']}; {per}."
    yield (
        f"Tested: {result['device_days']:,} device-days of {result['devices']:,} devices, from {result['from']} to"
        f" {result['to']}."
    )
    if result["incidents"] > len(result["first_incidents"]):
        yield f"The first {len(result['examples'])} are listed."
    if result["cut"]:
        yield f"{result['rule_devices']:,} devices have the rule. Not all were tested: {CUTS[result['cut']]}."
    if not result["exact"]:
        yield (
            "Some minutes have several readings, and their order is not stored. The backtest assumed that the breaches"
            " of a minute follow each other."
        )
