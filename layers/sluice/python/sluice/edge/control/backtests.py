"""Admins' requests about backtests: the function backtest makes them."""

import msgspec

from sluice.core.api.answers import Answer
from sluice.core.backtest.pace import MOST_DAYS
from sluice.core.control.fleets import check_active
from sluice.core.control.requests import AdminRequest
from sluice.core.control.rules import NewRule, create_rule
from sluice.core.detect.defaults import DEFAULT, list_defaults
from sluice.core.detect.series_rules import SeriesRule
from sluice.core.errors import Refusal
from sluice.core.events.units import SeriesBook
from sluice.core.query.parameters import Parameters
from sluice.edge.control.answering import answer
from sluice.edge.control.backtest_rows import count_waiting, describe_backtest, insert_backtest
from sluice.edge.control.rule_rows import get_rule
from sluice.edge.control.store import Changes, ControlStore, Kept, Rows

MOST_WAITING = 5
"""Unfinished backtests of a fleet that admins asked for. Each may take minutes, one after the other."""


class WantedBacktest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a request to test a rule."""

    rule: str | NewRule
    """The id of a saved rule or of a default, or a rule that is not saved."""
    days: int = 7


class Backtests(msgspec.Struct, frozen=True):
    """What admins ask of backtests."""

    store: ControlStore
    book: SeriesBook

    def begin(self, request: AdminRequest) -> Answer:
        """Ask for a backtest; a repeated request asks for no second one."""
        Parameters(request.query, known=())
        wanted = request.read(WantedBacktest)
        if not 1 <= wanted.days <= MOST_DAYS:
            raise Refusal(400, "invalid_body", f"days is from 1 to {MOST_DAYS}, and not {wanted.days}.")
        with self.store.changing() as changes:
            kept = changes.change_once(request, lambda: self._begin(changes, request, wanted))
        return answer(request, kept.status, kept.body)

    def show(self, request: AdminRequest) -> Answer:
        """Show a backtest: how far it is, and its result."""
        Parameters(request.query, known=())
        with self.store.reading() as rows:
            return answer(request, 200, describe_backtest(rows, request.path["backtest"]))

    def _begin(self, changes: Changes, request: AdminRequest, wanted: WantedBacktest) -> Kept:
        fleet = changes.fleet(request.path["fleet"])
        check_active(fleet)
        rule = self._find_rule(changes, fleet.fleet_id, wanted.rule, request)
        if count_waiting(changes, fleet.fleet_id) >= MOST_WAITING:
            detail = f"Fleet {fleet.fleet_id} has {MOST_WAITING} unfinished backtests. Wait until one ends."
            raise Refusal(409, "too_many_backtests", detail)
        number = insert_backtest(changes, rule, wanted.days, request)
        return Kept(202, describe_backtest(changes, f"backtest-{number}"))

    def _find_rule(self, rows: Rows, fleet_id: str, wanted: str | NewRule, request: AdminRequest) -> SeriesRule:
        if isinstance(wanted, NewRule):
            return create_rule(fleet_id, wanted, self.book, request.now).for_judging()
        if not wanted.startswith(DEFAULT):
            return get_rule(rows, fleet_id, wanted).for_judging()
        for rule in list_defaults(fleet_id, self.book.series):
            if rule.rule_id == wanted:
                return rule
        raise Refusal(404, "unknown_rule", f"There is no default {wanted[:64]!r}.")
