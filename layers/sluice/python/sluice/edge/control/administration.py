"""Admins' requests: each goes to the part of the control plane that its route names."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from aws_lambda_powertools import Logger

from sluice.core.api.answers import Answer, answer_refusal
from sluice.core.api.requests import read_correlation_id
from sluice.core.control.requests import AdminRequest, read_admin_request
from sluice.core.errors import Refusal, Retryable
from sluice.core.query.parameters import Parameters
from sluice.edge.control.allowances import Allowances
from sluice.edge.control.answering import PAGE, answer, answer_page, read_page
from sluice.edge.control.backtests import Backtests
from sluice.edge.control.destination_tests import DestinationTests
from sluice.edge.control.destinations import Destinations
from sluice.edge.control.fleets import Fleets
from sluice.edge.control.incidents import Incidents
from sluice.edge.control.keys import Keys
from sluice.edge.control.redrives import Redrives
from sluice.edge.control.replays import Replays
from sluice.edge.control.rule_reports import RuleReports
from sluice.edge.control.rules import Rules
from sluice.edge.control.silences import Silences
from sluice.edge.control.store import ControlStore

logger = Logger()

OLDEST, NEWEST = ORDERS = ("oldest", "newest")


class AfterEntry(msgspec.Struct, frozen=True):
    """Where the audit continues."""

    number: int


BEFORE_ALL, AFTER_ALL = AfterEntry(0), AfterEntry(2**63 - 1)


class Administration(msgspec.Struct, frozen=True):
    """Answers admins."""

    store: ControlStore
    fleets: Fleets
    keys: Keys
    rules: Rules
    destinations: Destinations
    replays: Replays
    redrives: Redrives
    allowances: Allowances
    destination_tests: DestinationTests

    def answer(self, event: Mapping[str, Any], retry_after: int) -> Answer:
        """Answer one request."""
        try:
            request = read_admin_request(event)
            return ROUTES[request.route](self, request)
        except Refusal as refusal:
            return answer_refusal(refusal, read_correlation_id(event), retry_after)
        except Retryable as error:
            logger.warning("an admin's request could not be answered", reason=str(error))
            away = Refusal(503, "control_unavailable", "The database does not answer right now; try again.")
            return answer_refusal(away, read_correlation_id(event), retry_after)

    def list_audit(self, request: AdminRequest) -> Answer:
        """List audit entries, each as the text that was hashed."""
        given = Parameters(request.query, [*PAGE, "order"])
        order = given.choice("order", ORDERS, OLDEST)
        question = f"{request.route} {order}"
        after, most = read_page(given, question, AfterEntry, BEFORE_ALL if order == OLDEST else AFTER_ALL)
        with self.store.reading() as rows:
            found = rows.entries(after.number, most + 1, newest_first=order == NEWEST)
        items = [{"number": each.number, "entry": each.text.decode(), "hash": each.hash} for each in found]
        return answer_page(request, question, items, most, lambda item: AfterEntry(item["number"]))

    def report_rules(self, request: AdminRequest) -> Answer:
        """Report what rules promised, and which incidents they have opened."""
        return answer(request, 200, RuleReports(self.store, self.rules.book).report(request))

    def begin_backtest(self, request: AdminRequest) -> Answer:
        """Ask for a backtest."""
        return Backtests(self.store, self.rules.book).begin(request)

    def get_backtest(self, request: AdminRequest) -> Answer:
        """Show a backtest."""
        return Backtests(self.store, self.rules.book).show(request)

    def plan_replay(self, request: AdminRequest) -> Answer:
        """Make a plan of a replay."""
        return answer(request, 200, self.replays.plan(request))

    def apply_replay(self, request: AdminRequest) -> Answer:
        """Apply a plan."""
        return answer(request, 202, self.replays.apply(request))

    def list_replays(self, request: AdminRequest) -> Answer:
        """List the latest replays."""
        Parameters(request.query, known=["limit"])
        return answer(request, 200, self.replays.list())

    def get_replay(self, request: AdminRequest) -> Answer:
        """Show a replay and how far it is."""
        Parameters(request.query, known=())
        return answer(request, 200, self.replays.show(request))

    def cancel_replay(self, request: AdminRequest) -> Answer:
        """Cancel a replay before its swap."""
        return answer(request, 202, self.replays.cancel(request))

    def allow_consumer(self, request: AdminRequest) -> Answer:
        """Allow a halted consumer more letters."""
        return answer(request, 200, self.allowances.allow(request))

    def test_destination(self, request: AdminRequest) -> Answer:
        """Send a test message to a destination."""
        return answer(request, 200, self.destination_tests.test(request))

    def list_letter_groups(self, request: AdminRequest) -> Answer:
        """List the groups of dead letters."""
        return answer(request, 200, self.redrives.groups(request))

    def explain_letter(self, request: AdminRequest) -> Answer:
        """Explain a dead letter."""
        return answer(request, 200, self.redrives.explain(request))

    def propose_fix(self, request: AdminRequest) -> Answer:
        """Propose a fix for a group of dead letters."""
        return answer(request, 200, self.redrives.propose(request))

    def begin_redrive(self, request: AdminRequest) -> Answer:
        """Begin a re-drive."""
        return answer(request, *self.redrives.begin(request))

    def list_redrives(self, request: AdminRequest) -> Answer:
        """List the latest re-drives."""
        Parameters(request.query, known=["limit"])
        return answer(request, 200, self.redrives.list())

    def get_redrive(self, request: AdminRequest) -> Answer:
        """Show a re-drive and how far it is."""
        Parameters(request.query, known=())
        return answer(request, 200, self.redrives.show(request))

    def cancel_redrive(self, request: AdminRequest) -> Answer:
        """End a re-drive where it is."""
        return answer(request, 200, self.redrives.cancel(request))

    def list_incidents(self, request: AdminRequest) -> Answer:
        """List incidents."""
        return answer(request, 200, Incidents(self.store).list(request))

    def get_incident(self, request: AdminRequest) -> Answer:
        """Show an incident, and why someone was woken or not."""
        return answer(request, 200, Incidents(self.store).show(request))

    def get_device_alerts(self, request: AdminRequest) -> Answer:
        """Show why a device's series fired or did not."""
        return answer(request, 200, Incidents(self.store).show_device(request))

    def acknowledge_incident(self, request: AdminRequest) -> Answer:
        """Acknowledge an incident."""
        return answer(request, 200, Incidents(self.store).acknowledge(request))

    def resolve_incident(self, request: AdminRequest) -> Answer:
        """Resolve an incident by hand."""
        return answer(request, 200, Incidents(self.store).resolve(request))

    def list_silences(self, request: AdminRequest) -> Answer:
        """List silences."""
        return answer(request, 200, Silences(self.store).list(request))

    def create_silence(self, request: AdminRequest) -> Answer:
        """Silence a fleet, a rule or a device."""
        return answer(request, 201, Silences(self.store).create(request))

    def end_silence(self, request: AdminRequest) -> Answer:
        """End a silence."""
        return answer(request, 200, Silences(self.store).end(request))


ROUTES: Mapping[str, Callable[[Administration, AdminRequest], Answer]] = {
    "GET /v1/admin/fleets": lambda admin, request: admin.fleets.list(request),
    "POST /v1/admin/fleets": lambda admin, request: admin.fleets.create(request),
    "GET /v1/admin/fleets/{fleet}": lambda admin, request: admin.fleets.get(request),
    "PATCH /v1/admin/fleets/{fleet}": lambda admin, request: admin.fleets.change(request),
    "POST /v1/admin/fleets/{fleet}/archive": lambda admin, request: admin.fleets.archive(request),
    "GET /v1/admin/fleets/{fleet}/keys": lambda admin, request: admin.keys.list(request),
    "POST /v1/admin/fleets/{fleet}/keys": lambda admin, request: admin.keys.create(request),
    "GET /v1/admin/fleets/{fleet}/keys/{key}": lambda admin, request: admin.keys.get(request),
    "POST /v1/admin/fleets/{fleet}/keys/{key}/rotate": lambda admin, request: admin.keys.rotate(request),
    "POST /v1/admin/fleets/{fleet}/keys/{key}/revoke": lambda admin, request: admin.keys.revoke(request),
    "GET /v1/admin/fleets/{fleet}/rules": lambda admin, request: admin.rules.list(request),
    "POST /v1/admin/fleets/{fleet}/rules": lambda admin, request: admin.rules.create(request),
    "GET /v1/admin/fleets/{fleet}/rules/{rule}": lambda admin, request: admin.rules.get(request),
    "PATCH /v1/admin/fleets/{fleet}/rules/{rule}": lambda admin, request: admin.rules.change(request),
    "POST /v1/admin/fleets/{fleet}/rules/{rule}/archive": lambda admin, request: admin.rules.archive(request),
    "GET /v1/admin/fleets/{fleet}/rule-report": Administration.report_rules,
    "POST /v1/admin/fleets/{fleet}/backtests": Administration.begin_backtest,
    "GET /v1/admin/backtests/{backtest}": Administration.get_backtest,
    "GET /v1/admin/destinations": lambda admin, request: admin.destinations.list(request),
    "POST /v1/admin/destinations": lambda admin, request: admin.destinations.create(request),
    "GET /v1/admin/destinations/{destination}": lambda admin, request: admin.destinations.get(request),
    "PATCH /v1/admin/destinations/{destination}": lambda admin, request: admin.destinations.change(request),
    "POST /v1/admin/destinations/{destination}/archive": lambda admin, request: admin.destinations.archive(request),
    "POST /v1/admin/destinations/{destination}/test": Administration.test_destination,
    "GET /v1/admin/audit": Administration.list_audit,
    "POST /v1/admin/replays/plan": Administration.plan_replay,
    "POST /v1/admin/replays": Administration.apply_replay,
    "GET /v1/admin/replays": Administration.list_replays,
    "GET /v1/admin/replays/{replay}": Administration.get_replay,
    "POST /v1/admin/replays/{replay}/cancel": Administration.cancel_replay,
    "POST /v1/admin/consumers/{consumer}/allow": Administration.allow_consumer,
    "GET /v1/admin/dead-letters/groups": Administration.list_letter_groups,
    "GET /v1/admin/dead-letters/groups/{group}/proposal": Administration.propose_fix,
    "GET /v1/admin/dead-letters/letters/{letter}": Administration.explain_letter,
    "POST /v1/admin/redrives": Administration.begin_redrive,
    "GET /v1/admin/redrives": Administration.list_redrives,
    "GET /v1/admin/redrives/{redrive}": Administration.get_redrive,
    "POST /v1/admin/redrives/{redrive}/cancel": Administration.cancel_redrive,
    "GET /v1/admin/alerts": Administration.list_incidents,
    "GET /v1/admin/alerts/{incident}": Administration.get_incident,
    "POST /v1/admin/alerts/{incident}/acknowledge": Administration.acknowledge_incident,
    "POST /v1/admin/alerts/{incident}/resolve": Administration.resolve_incident,
    "GET /v1/admin/fleets/{fleet}/devices/{device}/alerts": Administration.get_device_alerts,
    "GET /v1/admin/silences": Administration.list_silences,
    "POST /v1/admin/silences": Administration.create_silence,
    "POST /v1/admin/silences/{silence}/end": Administration.end_silence,
}
