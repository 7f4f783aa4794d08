"""The tables of a bill: what it consists of, what drives it, and how it changes with the workload."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec

from cli.cost.bill import Bill, Driver
from cli.cost.caps import caps
from cli.cost.compare import ALTERNATIVES
from cli.cost.figures import Figures
from cli.cost.levers import Basis, weigh
from cli.cost.month import bill_month
from cli.cost.prices import Prices
from cli.cost.tables import Table, dollars
from cli.cost.templates import Deployed
from cli.cost.workload import LONG, SHORT, Size, Workload

REQUEST_SIZES = (1, 2, 5, 10, 20, 50, 100, 500)
"""Events in a request, for the tables over them."""

GROWS_WITH: Mapping[Driver, str] = {
    "size": "the size of the deployment: there without a single event",
    "time": "the hours in which devices report",
    "requests": "requests",
    "events": "events",
    "questions": "what people ask",
}


class Model(msgspec.Struct, frozen=True):
    """A deployment with the figures and prices that turn a workload into a bill."""

    deployed: Deployed
    size: Size
    figures: Figures
    prices: Prices

    def bill(self, work: Workload) -> Bill:
        """Write the bill of a month."""
        return bill_month(self.deployed, work, self.figures, self.prices)

    def _bill_of(self, basis: Basis) -> Bill:
        return bill_month(basis.deployed, basis.work, basis.figures, self.prices)

    def months(self, sizes: Sequence[float] = (10, 100)) -> Table:
        """Compare average and peak, short and long days; say with which requests each month is within the budget."""
        rows = []
        for peak in (False, True):
            for hours in (SHORT, LONG):
                rate = self.size.peak if peak else self.size.average
                bills = {
                    events: self.bill(self.size.workload(events_per_request=events, hours_a_day=hours, peak=peak)).total
                    for events in sorted({*sizes, *REQUEST_SIZES})
                }
                name = f"{rate:,.0f} events a second, {hours:g} h a day{' (all peak)' if peak else ''}"
                rows.append((name, *(dollars(bills[events]) for events in sizes), self._within(bills)))
        head = ("dollars a month", *(f"{events:g} events a request" for events in sizes), "within the budget")
        return Table(head, rows)

    def _within(self, bills: Mapping[float, float]) -> str:
        budget = self.deployed.monthly_budget
        if budget is None:
            return "no budget"
        enough = [events for events, usd in bills.items() if usd < budget]
        if enough:
            return f"from {min(enough):g} a request"
        return f"at no request size: {dollars(min(bills.values()))} at {max(bills):g} a request"

    def services(self, works: Sequence[Workload]) -> Table:
        """List services, the most expensive first."""
        bills = [self.bill(work).by(lambda line: line.service) for work in works]
        names = sorted({name for bill in bills for name in bill}, key=lambda name: -bills[0].get(name, 0))
        rows = [(name, *(dollars(bill.get(name, 0)) for bill in bills)) for name in names]
        rows.append(("together", *(dollars(sum(bill.values())) for bill in bills)))
        return Table(("service", *(f"{work.events_per_request:g} events a request" for work in works)), rows)

    def drivers(self, works: Sequence[Workload]) -> Table:
        """List what the bill grows with."""
        bills = [self.bill(work).by(lambda line: line.driver) for work in works]
        rows = [(means, *(dollars(bill.get(driver, 0)) for bill in bills)) for driver, means in GROWS_WITH.items()]
        return Table(("grows with", *(f"{work.events_per_request:g} events a request" for work in works)), rows)

    def lines(self, work: Workload, most: int | None = None) -> Table:
        """List positions, the most expensive first."""
        lines = sorted(self.bill(work).lines, key=lambda line: -line.usd)[:most]
        rows = [
            (line.service, line.item, f"{line.units:,.0f}", self.prices[line.price].unit, dollars(line.usd))
            for line in lines
        ]
        return Table(("service", "what", "units", "unit", "dollars"), rows, words=2)

    def request_sizes(self, work: Workload) -> Table:
        """Show what larger requests are worth."""
        rows = []
        for events in REQUEST_SIZES:
            bill = self.bill(replace(work, events_per_request=events))
            million = bill.total / work.events * 1e6
            rows.append((f"{events}", dollars(bill.total), f"{million:.2f}"))
        return Table(("events a request", "dollars a month", "dollars a million events"), rows, words=0)

    def levers(self, work: Workload) -> Table:
        """List what would change the bill."""
        basis = Basis(self.deployed, work, self.figures)
        weighed = sorted(weigh(basis, self._bill_of), key=_worth)
        rows = [(lever.name, lever.state, lever.reason, dollars(saved)) for lever, saved in weighed]
        return Table(("lever", "state", "why", "dollars a month"), rows, words=3)

    def alternatives(self, work: Workload, sizes: Sequence[float] = (1, 10, 100)) -> Table:
        """Compare with what else could be bought."""
        works = [replace(work, events_per_request=events) for events in sizes]
        ours = [self.bill(work) for work in works]
        rows = [("Sluice", "", *(dollars(bill.total) for bill in ours))]
        for each in ALTERNATIVES:
            bills = (each.bill(bill, work, self.figures, self.prices) for bill, work in zip(ours, works, strict=True))
            rows.append((each.name, each.lacks, *(dollars(bill.total) for bill in bills)))
        return Table(("what", "what it lacks", *(f"{events:g} a request" for events in sizes)), rows, words=2)

    def bounds(self) -> Table:
        """List what can run away, and how far."""
        rows = [
            (each.what, each.bound, each.setting, f"`{each.alarm}`", dollars(each.usd_an_hour))
            for each in caps(self.deployed, self.figures, self.prices)
        ]
        return Table(("what runs away", "at most", "bounded by", "alarm", "dollars an hour"), rows, words=4)


def _worth(weighed: tuple[object, float]) -> float:
    return -weighed[1]
