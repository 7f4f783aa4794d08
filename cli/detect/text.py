"""The result of a backtest as sentences."""

from collections.abc import Iterator, Mapping
from typing import Any

CUTS = {
    "time": "its time was used up",
    "windows": "as many minutes were read as a backtest may read",
    "verdicts": "the rule said so much that no more could be held",
}


def write_result(result: Mapping[str, Any]) -> Iterator[str]:
    """Write how many incidents there were, and of how much of the fleet that is said."""
    rate = result["incidents_per_100_device_days"]
    per = "no device had readings of the series" if rate is None else f"{rate:g} for 100 device-days"
    yield f"Incidents: {result['incidents']}; {per}."
    yield (
        f"Tested: {result['device_days']:,} device-days of {result['devices']:,} devices, from {result['from']} to"
        f" {result['to']}."
    )
    if result["incidents"] > len(result["examples"]):
        yield f"The first {len(result['examples'])} are listed."
    if result["cut"]:
        yield f"{result['fleet_devices']:,} devices have the rule. Not all were tested: {CUTS[result['cut']]}."
    if not result["exact"]:
        yield "Some minutes have several readings, whose order is not stored: breaches were taken to be in a row."
