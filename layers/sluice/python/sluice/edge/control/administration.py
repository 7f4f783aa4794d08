"""Admins' requests: each change is one transaction with its audit entries, or a dry run."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
from aws_lambda_powertools import Logger
from msgspec import Meta

from sluice.core.api.answers import Answer, answer_refusal
from sluice.core.api.requests import correlate
from sluice.core.control.api_keys import (
    ApiKey,
    KeyPeriods,
    MadeKey,
    NewKey,
    check_number,
    create_key,
    revoke_key,
    rotate_key,
)
from sluice.core.control.audit import Act, differ
from sluice.core.control.fleets import (
    Fleet,
    FleetChange,
    NewFleet,
    archive_fleet,
    change_fleet,
    check_active,
    create_fleet,
)
from sluice.core.control.requests import AdminRequest, read_admin_request
from sluice.core.errors import Refusal, Retryable
from sluice.core.query.cursors import MOST_CHARACTERS, Position, read_cursor, write_cursor
from sluice.core.query.parameters import Parameters
from sluice.edge.control.allowances import Allowances
from sluice.edge.control.incidents import Incidents
from sluice.edge.control.publishing import Publisher
from sluice.edge.control.redrives import Redrives
from sluice.edge.control.replays import Replays
from sluice.edge.control.silences import Silences
from sluice.edge.control.store import Changes, ControlStore, Kept

logger = Logger()

DEFAULT_ITEMS, MOST_ITEMS = 100, 1000
PAGE = ("cursor", "limit")
OLDEST, NEWEST = ORDERS = ("oldest", "newest")


class Deed(msgspec.Struct, frozen=True):
    """One thing that a request changes."""

    action: str
    target: str
    before: dict[str, Any] | None
    after: dict[str, Any]


class Change(msgspec.Struct, frozen=True):
    """What a request would do: what it changes, how it is written, and the answer."""

    deeds: Sequence[Deed]
    write: Callable[[Changes], None]
    body: dict[str, Any]
    status: int = 200
    first: dict[str, Any] = msgspec.field(default_factory=dict)
    """What only the first answer has, for example the text of a key."""
    later: dict[str, Any] = msgspec.field(default_factory=dict)
    """What a repeated request gets in its place."""
    reason: str | None = None


class After(msgspec.Struct, frozen=True):
    """Where a list continues."""

    id: Annotated[str, Meta(pattern=r"^[0-9A-Za-z-]+\Z")]


class AfterEntry(msgspec.Struct, frozen=True):
    """Where the audit continues."""

    number: int


BEFORE_ALL, AFTER_ALL = AfterEntry(0), AfterEntry(2**63 - 1)


class Administration(msgspec.Struct, frozen=True):
    """Answers admins."""

    store: ControlStore
    publisher: Publisher
    replays: Replays
    redrives: Redrives
    allowances: Allowances
    stage: str
    region: str
    periods: KeyPeriods
    draw: Callable[[int], str]
    """Draws that many random characters of the keys' alphabet."""

    def answer(self, event: Mapping[str, Any], retry_after: int) -> Answer:
        """Answer one request."""
        try:
            request = read_admin_request(event)
            return ROUTES[request.route](self, request)
        except Refusal as refusal:
            return answer_refusal(refusal, correlate(event), retry_after)
        except Retryable as error:
            logger.warning("an admin's request could not be answered", reason=str(error))
            away = Refusal(503, "control_unavailable", "The database does not answer right now; try again.")
            return answer_refusal(away, correlate(event), retry_after)

    def list_fleets(self, request: AdminRequest) -> Answer:
        """List fleets."""
        after, most = _page(Parameters(request.query, PAGE), request.route, After, After(""))
        with self.store.reading() as rows:
            found = rows.fleets(after.id, most + 1)
        items = [each.described() for each in found]
        return _list(request, request.route, items, most, lambda item: After(item["fleet_id"]))

    def get_fleet(self, request: AdminRequest) -> Answer:
        """Show a fleet."""
        Parameters(request.query, known=())
        with self.store.reading() as rows:
            fleet = rows.fleet(request.path["fleet"])
        return _answer(request, 200, fleet.described())

    def create_fleet(self, request: AdminRequest) -> Answer:
        """Create a fleet."""
        wanted = request.read(NewFleet)

        def decide(_rows: Changes) -> Change:
            fleet = create_fleet(wanted, self.region, request.now)
            deed = _of_fleet("fleet.create", None, fleet)
            return Change([deed], lambda changes: changes.insert_fleet(fleet), fleet.described(), 201)

        return self._change(request, decide)

    def change_fleet(self, request: AdminRequest) -> Answer:
        """Change a fleet's settings."""
        wanted = request.read(FleetChange)

        def decide(rows: Changes) -> Change:
            fleet = rows.fleet(request.path["fleet"])
            request.check_version(fleet.described())
            changed = change_fleet(fleet, wanted)
            deeds = [] if changed == fleet else [_of_fleet("fleet.change", fleet, changed)]
            return Change(deeds, lambda changes: changes.update_fleet(changed), changed.described())

        return self._change(request, decide)

    def archive_fleet(self, request: AdminRequest) -> Answer:
        """Archive a fleet and revoke its keys."""
        reason = request.reason()

        def decide(rows: Changes) -> Change:
            fleet = rows.fleet(request.path["fleet"])
            request.check_version(fleet.described())
            archived = archive_fleet(fleet, request.now)
            keys = rows.working_keys(fleet.fleet_id, request.now)
            revoked = [revoke_key(key, request.now) for key in keys]
            deeds = [_of_fleet("fleet.archive", fleet, archived)]
            deeds += [_of_key("key.revoke", *pair, request.now) for pair in zip(keys, revoked, strict=True)]

            def write(changes: Changes) -> None:
                changes.update_fleet(archived)
                changes.update_keys(revoked)

            body = archived.described() | {"revoked_keys": [key.key_id for key in revoked]}
            return Change(deeds, write, body, reason=reason)

        return self._change(request, decide)

    def list_keys(self, request: AdminRequest) -> Answer:
        """List a fleet's keys."""
        question = f"{request.route} {request.path['fleet']}"
        after, most = _page(Parameters(request.query, PAGE), question, After, After(""))
        with self.store.reading() as rows:
            fleet = rows.fleet(request.path["fleet"])
            found = rows.keys(fleet.fleet_id, after.id, most + 1)
        items = [each.described(request.now) for each in found]
        return _list(request, question, items, most, lambda item: After(item["key_id"]))

    def get_key(self, request: AdminRequest) -> Answer:
        """Show a key, without its text."""
        Parameters(request.query, known=())
        with self.store.reading() as rows:
            key = rows.key(request.path["fleet"], request.path["key"])
        return _answer(request, 200, key.described(request.now))

    def create_key(self, request: AdminRequest) -> Answer:
        """Create a key; only this answer shows its text."""
        wanted = request.read(NewKey)

        def decide(rows: Changes) -> Change:
            fleet = rows.fleet(request.path["fleet"])
            check_active(fleet)
            check_number(rows.count_working_keys(request.now))
            made = create_key(fleet.fleet_id, wanted, self.stage, self.periods, request.now, self.draw)
            deed = _of_key("key.create", None, made.key, request.now)
            return Change([deed], lambda changes: changes.insert_key(made), deed.after, 201, *_shown_once(made))

        return self._change(request, decide)

    def rotate_key(self, request: AdminRequest) -> Answer:
        """Give a key a successor; both work until the overlap ends."""

        def decide(rows: Changes) -> Change:
            fleet = rows.fleet(request.path["fleet"])
            check_active(fleet)
            check_number(rows.count_working_keys(request.now))
            key = rows.key(fleet.fleet_id, request.path["key"])
            ending, made = rotate_key(key, self.stage, self.periods, request.now, self.draw)
            deeds = [
                _of_key("key.create", None, made.key, request.now),
                _of_key("key.rotate", key, ending, request.now),
            ]

            def write(changes: Changes) -> None:
                changes.insert_key(made)
                changes.update_keys([ending])

            body = deeds[0].after | {"replaces": deeds[1].after}
            return Change(deeds, write, body, 201, *_shown_once(made))

        return self._change(request, decide)

    def revoke_key(self, request: AdminRequest) -> Answer:
        """Revoke a key."""
        reason = request.reason()

        def decide(rows: Changes) -> Change:
            key = rows.key(request.path["fleet"], request.path["key"])
            revoked = revoke_key(key, request.now)
            deed = _of_key("key.revoke", key, revoked, request.now)
            deeds = [] if revoked == key else [deed]
            return Change(deeds, lambda changes: changes.update_keys([revoked]), deed.after, reason=reason)

        return self._change(request, decide)

    def list_audit(self, request: AdminRequest) -> Answer:
        """List audit entries, each as the text that was hashed."""
        given = Parameters(request.query, [*PAGE, "order"])
        order = given.choice("order", ORDERS, OLDEST)
        question = f"{request.route} {order}"
        after, most = _page(given, question, AfterEntry, BEFORE_ALL if order == OLDEST else AFTER_ALL)
        with self.store.reading() as rows:
            found = rows.entries(after.number, most + 1, newest_first=order == NEWEST)
        items = [{"number": each.number, "entry": each.text.decode(), "hash": each.hash} for each in found]
        return _list(request, question, items, most, lambda item: AfterEntry(item["number"]))

    def plan_replay(self, request: AdminRequest) -> Answer:
        """Make a plan of a replay."""
        return _answer(request, 200, self.replays.plan(request))

    def apply_replay(self, request: AdminRequest) -> Answer:
        """Apply a plan."""
        return _answer(request, 202, self.replays.apply(request))

    def list_replays(self, request: AdminRequest) -> Answer:
        """List the latest replays."""
        Parameters(request.query, known=["limit"])
        return _answer(request, 200, self.replays.list())

    def get_replay(self, request: AdminRequest) -> Answer:
        """Show a replay and how far it is."""
        Parameters(request.query, known=())
        return _answer(request, 200, self.replays.show(request))

    def cancel_replay(self, request: AdminRequest) -> Answer:
        """Cancel a replay before its swap."""
        return _answer(request, 202, self.replays.cancel(request))

    def allow_consumer(self, request: AdminRequest) -> Answer:
        """Allow a halted consumer more letters."""
        return _answer(request, 200, self.allowances.allow(request))

    def list_letter_groups(self, request: AdminRequest) -> Answer:
        """List the groups of dead letters."""
        return _answer(request, 200, self.redrives.groups(request))

    def explain_letter(self, request: AdminRequest) -> Answer:
        """Explain a dead letter."""
        return _answer(request, 200, self.redrives.explain(request))

    def propose_fix(self, request: AdminRequest) -> Answer:
        """Propose a fix for a group of dead letters."""
        return _answer(request, 200, self.redrives.propose(request))

    def begin_redrive(self, request: AdminRequest) -> Answer:
        """Begin a re-drive."""
        return _answer(request, *self.redrives.begin(request))

    def list_redrives(self, request: AdminRequest) -> Answer:
        """List the latest re-drives."""
        Parameters(request.query, known=["limit"])
        return _answer(request, 200, self.redrives.list())

    def get_redrive(self, request: AdminRequest) -> Answer:
        """Show a re-drive and how far it is."""
        Parameters(request.query, known=())
        return _answer(request, 200, self.redrives.show(request))

    def cancel_redrive(self, request: AdminRequest) -> Answer:
        """End a re-drive where it is."""
        return _answer(request, 200, self.redrives.cancel(request))

    def list_incidents(self, request: AdminRequest) -> Answer:
        """List incidents."""
        return _answer(request, 200, Incidents(self.store).list(request))

    def get_incident(self, request: AdminRequest) -> Answer:
        """Show an incident, and why someone was woken or not."""
        return _answer(request, 200, Incidents(self.store).show(request))

    def get_device_alerts(self, request: AdminRequest) -> Answer:
        """Show why a device's series fired or did not."""
        return _answer(request, 200, Incidents(self.store).show_device(request))

    def acknowledge_incident(self, request: AdminRequest) -> Answer:
        """Acknowledge an incident."""
        return _answer(request, 200, Incidents(self.store).acknowledge(request))

    def resolve_incident(self, request: AdminRequest) -> Answer:
        """Resolve an incident by hand."""
        return _answer(request, 200, Incidents(self.store).resolve(request))

    def list_silences(self, request: AdminRequest) -> Answer:
        """List silences."""
        return _answer(request, 200, Silences(self.store).list(request))

    def create_silence(self, request: AdminRequest) -> Answer:
        """Silence a fleet, a rule or a device."""
        return _answer(request, 201, Silences(self.store).create(request))

    def end_silence(self, request: AdminRequest) -> Answer:
        """End a silence."""
        return _answer(request, 200, Silences(self.store).end(request))

    def _change(self, request: AdminRequest, decide: Callable[[Changes], Change]) -> Answer:
        dry_run = request.is_dry_run()
        with self.store.changing() as changes:
            kept = changes.find_answer(request) if request.idempotency_key is not None else None
            if kept is None:
                change = decide(changes)
                if dry_run:
                    return _answer(request, 200, _foretell(change))
                if change.deeds:
                    change.write(changes)
                    changes.append([_act(request, change.reason, deed) for deed in change.deeds])
                changes.keep_answer(request, Kept(change.status, change.body | change.later))
                kept, first = Kept(change.status, change.body | change.first), change.first
            else:
                first = {}
        return _answer(request, kept.status, kept.body | self._publish(request, must=not first))

    def _publish(self, request: AdminRequest, *, must: bool) -> dict[str, Any]:
        """Publish what was changed. An answer that shows a key is given in any case: it is the only one."""
        try:
            self.publisher.publish(request.now)
        except Retryable as error:
            logger.warning("a change is not published yet", reason=str(error))
            if must:
                detail = (
                    "The change is stored, but not published yet. Repeat the request with the same idempotency-key."
                )
                raise Refusal(503, "not_published", detail) from error
            return {"published": False}
        return {}


def _foretell(change: Change) -> dict[str, Any]:
    would = [
        {"action": each.action, "target": each.target, "changes": differ(each.before, each.after)}
        for each in change.deeds
    ]
    return {"dry_run": True, "would": would}


def _of_fleet(action: str, before: Fleet | None, after: Fleet) -> Deed:
    return Deed(action, f"fleet/{after.fleet_id}", before.described() if before else None, after.described())


def _of_key(action: str, before: ApiKey | None, after: ApiKey, now: datetime) -> Deed:
    return Deed(action, f"key/{after.key_id}", before.described(now) if before else None, after.described(now))


def _act(request: AdminRequest, reason: str | None, deed: Deed) -> Act:
    return Act(
        request.now,
        request.principal,
        deed.action,
        deed.target,
        deed.before,
        deed.after,
        request.correlation_id,
        reason,
    )


def _shown_once(made: MadeKey) -> tuple[dict[str, Any], dict[str, Any]]:
    return {"key": made.text}, {"key": None, "key_shown": "The first answer to this request showed the key, once."}


def _page(given: Parameters, question: str, kind: type[Position], first: Position) -> tuple[Position, int]:
    cursor = given.text("cursor", MOST_CHARACTERS)
    after = first if cursor is None else read_cursor(cursor, question, kind)
    return after, given.whole("limit", 1, MOST_ITEMS, DEFAULT_ITEMS)


def _list(
    request: AdminRequest,
    question: str,
    items: Sequence[dict[str, Any]],
    most: int,
    position: Callable[[Any], msgspec.Struct],
) -> Answer:
    """Answer with a page; one item more than it holds shows that another page exists."""
    shown = items[:most]
    more = len(items) > most
    cursor = write_cursor(question, position(shown[-1])) if more else None
    return _answer(request, 200, {"items": shown, "next_cursor": cursor})


def _answer(request: AdminRequest, status: int, body: Mapping[str, Any]) -> Answer:
    headers = {
        "content-type": "application/json",
        "x-correlation-id": request.correlation_id,
        # An answer may hold a key.
        "cache-control": "no-store",
    }
    if "version" in body:
        headers["etag"] = f'"{body["version"]}"'
    return Answer(status, headers, msgspec.json.encode(body))


ROUTES: Mapping[str, Callable[[Administration, AdminRequest], Answer]] = {
    "GET /v1/admin/fleets": Administration.list_fleets,
    "POST /v1/admin/fleets": Administration.create_fleet,
    "GET /v1/admin/fleets/{fleet}": Administration.get_fleet,
    "PATCH /v1/admin/fleets/{fleet}": Administration.change_fleet,
    "POST /v1/admin/fleets/{fleet}/archive": Administration.archive_fleet,
    "GET /v1/admin/fleets/{fleet}/keys": Administration.list_keys,
    "POST /v1/admin/fleets/{fleet}/keys": Administration.create_key,
    "GET /v1/admin/fleets/{fleet}/keys/{key}": Administration.get_key,
    "POST /v1/admin/fleets/{fleet}/keys/{key}/rotate": Administration.rotate_key,
    "POST /v1/admin/fleets/{fleet}/keys/{key}/revoke": Administration.revoke_key,
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
