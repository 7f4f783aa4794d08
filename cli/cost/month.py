"""The bill of a month: what the templates order, under a workload."""

from cli.cost.bill import Bill, write_bill
from cli.cost.figures import Figures
from cli.cost.front import front
from cli.cost.operation import operation
from cli.cost.prices import Prices
from cli.cost.stores import stores
from cli.cost.stream import stream
from cli.cost.templates import Deployed
from cli.cost.workload import Workload

PARTS = (front, stream, stores, operation)
"""In the order of an event's way."""


def bill_month(deployed: Deployed, work: Workload, figures: Figures, prices: Prices) -> Bill:
    """Write the bill."""
    return write_bill((position for part in PARTS for position in part(deployed, work, figures)), prices)
