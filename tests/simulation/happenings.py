"""What happens in a history besides posts: parts that go away, changes, and what admins ask for."""

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import psycopg

from sluice.core.api.keys import ID_LENGTH, SECRET_LENGTH, compose_key, hash_key
from tests.simulation import settings
from tests.simulation.admins import Admin
from tests.simulation.clients import Clients
from tests.simulation.database import HistoryDatabase
from tests.simulation.deployment import Deployment
from tests.simulation.history import (
    AHEAD,
    ATTEND,
    CANCEL,
    CANCEL_REDRIVES,
    FORGE,
    FORGET,
    KILLER,
    MERGE,
    POISON,
    REASSIGN,
    REDRIVE,
    REPLAY,
    ROTATE,
    RULE,
    SPOIL,
    STOP,
    STOP_REPLAYS,
    Change,
    Outage,
)
from tests.simulation.other_writers import FLEET, OtherWriters
from tests.simulation.redrive_admin import RedriveAdmin
from tests.simulation.timeline import BEGINS

KEY_ID = "K" * ID_LENGTH
RULE_ID, HOT = "hot", 49.0
"""The rule that is there from the beginning, and above which temperature a reading is a breach."""
_HOUR = timedelta(hours=1)
_SPOIL = "UPDATE sample SET readings = ARRAY(SELECT 1000 + reading FROM unnest(readings) AS reading)"


def make_key(database: HistoryDatabase, quota: float) -> str:
    """Make the fleet, and the key that its devices begin with."""
    key = compose_key(settings.STAGE, KEY_ID, "s" * SECRET_LENGTH)
    database.owner.execute(
        "INSERT INTO fleet (fleet_id, events_per_second, rejects_per_second) VALUES (%s, %s, 1e6)", [FLEET, quota]
    )
    database.owner.execute(
        "INSERT INTO api_key (key_id, fleet_id, role, secret_hash) VALUES (%s, %s, 'device', %s)",
        [KEY_ID, FLEET, hash_key(key)],
    )
    return key


class Happenings:
    """Lets things happen to a deployment."""

    def __init__(self, deployment: Deployment, database: HistoryDatabase, clients: Clients) -> None:
        self._deployment = deployment
        self._database = database
        self._world = deployment.world
        self._clients = clients
        self._admin = Admin(deployment.world, deployment.runtime)
        self._others = OtherWriters(deployment.brokers, clients.ledger)
        self._redrives = RedriveAdmin(self._admin, deployment.world)
        self._key_id = KEY_ID
        self.plans: dict[str, dict[str, Any]] = {}
        """Plans of replays that were to be applied, by the replay's name."""
        self.revoked: list[str] = []
        """Keys that no longer work."""
        self.wrong = self._redrives.wrong
        """What an admin was allowed and must not be."""
        self.spoiled_at: datetime | None = None
        """When numbers turned out to be wrong: a replay of everything must end after that."""
        self.busy = 0
        """How many changes are not done yet."""

    def prepare(self) -> None:
        """Make what is there from the beginning: published keys and, where readings are judged, a rule."""
        self._deployment.runtime.invoke("publish", {})
        if "detect" in self._deployment.functions:
            self._make_rule(RULE_ID)

    def begin_outage(self, outage: Outage) -> None:
        """Take a part away when its time comes."""

        def take_away() -> None:
            self._world.note(f"{outage.part} away for {outage.seconds:.0f} s")
            self._world.away.add(outage.part)
            self._world.witness.note_outage(outage.part)
            self._world.timeline.sleep(outage.seconds)
            self._world.away.discard(outage.part)
            self._world.note(f"{outage.part} back")

        self._world.timeline.spawn("outage", take_away, outage.at)

    def begin_change(self, change: Change) -> None:
        """Change something when its time comes."""
        self.busy += 1

        def work() -> None:
            self._world.note(f"{change.kind} {change.what}")
            self._change(change)
            self.busy -= 1

        self._world.timeline.spawn("change", work, change.at)

    def apply_again(self, replay_id: str) -> None:
        """Apply a plan again, as a person does whose replay was stopped in its swap."""
        self._admin.insist("POST /v1/admin/replays", body={"plan": self.plans[replay_id]})

    def replay_all(self) -> None:
        """Compute everything again, as a person does who knows that numbers are wrong."""
        self._replay(reprocess=True)

    def _spoil(self) -> None:
        """Let all numbers so far be wrong, as after a release with a fault."""
        while self.spoiled_at is None:
            with suppress(psycopg.errors.LockNotAvailable):
                self._database.owner.execute(_SPOIL)
                self.spoiled_at = self._world.timeline.now()
            self._world.timeline.sleep(1)

    def _change(self, change: Change) -> None:
        deployment = self._deployment
        match change.kind:
            case kind if kind == FORGET:
                deployment.cache.forget()
            case kind if kind == REASSIGN:
                deployment.sources[change.what].start()
            case kind if kind == STOP:
                deployment.runtime.kill_all(change.what)
            case kind if kind in (POISON, AHEAD, KILLER):
                self._others.write(change)
            case kind if kind == ROTATE:
                self._rotate()
            case kind if kind == RULE:
                self._make_rule(change.what)
            case kind if kind == ATTEND:
                self._attend(change.what)
            case kind if kind == SPOIL:
                self._spoil()
            case kind if kind == REPLAY:
                self._replay(reprocess=change.what == "all")
            case kind if kind == REDRIVE:
                # Perhaps a release was deployed meanwhile that survives the records which had ended processes.
                if self._world.chance("releases").random() < 0.5:
                    self._world.deadly.clear()
                self._redrives.begin(change.what)
            case kind if kind == CANCEL_REDRIVES:
                self._redrives.cancel()
            case kind if kind == MERGE:
                self._redrives.merge()
            case kind if kind == FORGE:
                self._forge()
            case kind if kind == CANCEL:
                self._cancel()
            case kind if kind == STOP_REPLAYS:
                deployment.workflows.stop_all()
            case kind:
                raise ValueError(kind)

    def _rotate(self) -> None:
        """Give the devices a new key, and revoke the old one."""
        of_key = {"fleet": FLEET, "key": self._key_id}
        got = self._admin.insist("POST /v1/admin/fleets/{fleet}/keys/{key}/rotate", of_key, {})
        if got.status != 201:
            return
        old, self._clients.key, self._key_id = self._clients.key, got.body["key"], got.body["key_id"]
        self._world.timeline.sleep(20)
        reason = {"reason": "it was rotated"}
        got = self._admin.insist("POST /v1/admin/fleets/{fleet}/keys/{key}/revoke", of_key, reason)
        if got.status == 200:
            self.revoked.append(old)

    def _make_rule(self, name: str) -> None:
        rule = {"rule_id": name, "kind": "above", "metric": "cpu_temp", "open": HOT, "clear": HOT - 1}
        self._admin.insist("POST /v1/admin/fleets/{fleet}/rules", {"fleet": FLEET}, rule)

    def _attend(self, action: str) -> None:
        """Acknowledge or resolve what is open."""
        listed = self._admin.insist("GET /v1/admin/alerts", query="state=open")
        for item in listed.body["items"] if listed.status == 200 else ():
            of_incident, said = {"incident": item["incident_id"]}, {"reason": "it was looked at"}
            body = said if action == "resolve" else None
            self._admin.insist(f"POST /v1/admin/alerts/{{incident}}/{action}", of_incident, body)

    def _replay(self, *, reprocess: bool) -> None:
        planned = self._admin.insist("POST /v1/admin/replays/plan", body=self._span(reprocess=reprocess))
        if planned.status != 200:
            return
        plan = planned.body
        self.plans[f"replay-{plan['hash'][:16]}"] = plan
        self._admin.insist("POST /v1/admin/replays", body={"plan": plan})

    def _span(self, *, reprocess: bool) -> dict[str, Any]:
        now = self._world.timeline.now()
        since = BEGINS - _HOUR
        return {"fleet_id": FLEET, "from": since.isoformat(), "to": now.isoformat(), "reprocess": reprocess}

    def _forge(self) -> None:
        """Apply a plan that was changed by hand."""
        planned = self._admin.insist("POST /v1/admin/replays/plan", body=self._span(reprocess=True))
        if planned.status != 200:
            return
        forged = planned.body | {"include_late": not planned.body["include_late"]}
        got = self._admin.insist("POST /v1/admin/replays", body={"plan": forged})
        if 200 <= got.status < 300:
            self.wrong.append(f"a plan that was changed by hand is answered {got.status}")

    def allow_letters(self, consumer: str) -> None:
        """Allow a consumer more dead letters, as a person does who has seen why it halted."""
        self._world.witness.note_letters_allowed(consumer)
        wanted = {"letters": 200, "reason": "they are what another system wrote"}
        self._admin.insist("POST /v1/admin/consumers/{consumer}/allow", {"consumer": consumer}, wanted)

    def _cancel(self) -> None:
        listed = self._admin.insist("GET /v1/admin/replays")
        for item in listed.body["items"] if listed.status == 200 else ():
            if item["state"] not in ("done", "cancelled", "failed"):
                of_replay, reason = {"replay": item["replay_id"]}, {"reason": "not wanted any more"}
                self._admin.insist("POST /v1/admin/replays/{replay}/cancel", of_replay, reason)
                return
