"""Which destinations get a message."""

from collections.abc import Iterable

from sluice.core.alerts.messages import AlertMessage
from sluice.core.detect.series_rules import SEVERITIES
from sluice.core.notify.destinations import Destination


def choose_destinations(message: AlertMessage, destinations: Iterable[Destination]) -> tuple[Destination, ...]:
    """Choose those that want incidents of this fleet and severity, and whose time to be escalated to has come."""
    return tuple(each for each in destinations if _is_meant(each, message) and _is_due(each, message))


def _is_meant(destination: Destination, message: AlertMessage) -> bool:
    least, given = (SEVERITIES.index(each) for each in (destination.least_severity, message.severity))
    return destination.fleet_id in (None, message.fleet_id) and given >= least


def _is_due(destination: Destination, message: AlertMessage) -> bool:
    """A destination that is notified at once gets no escalations; one that is escalated to gets all that follows."""
    if destination.after_minutes == 0:
        return message.happening != "escalated"
    return destination.after_minutes <= message.escalated_minutes
