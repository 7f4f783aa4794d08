"""Admins' requests about fleets' keys."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from sluice.core.api.answers import Answer
from sluice.core.api.keys import KEYS
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
from sluice.core.control.fleets import check_active
from sluice.core.control.requests import AdminRequest
from sluice.core.query.parameters import Parameters
from sluice.edge.control.answering import FIRST, PAGE, After, answer, answer_page, read_page
from sluice.edge.control.changing import Change, Changer, Deed
from sluice.edge.control.store import Changes, ControlStore


class Keys(msgspec.Struct, frozen=True):
    """The keys with which devices and readers are let in."""

    store: ControlStore
    changer: Changer
    stage: str
    periods: KeyPeriods
    draw: Callable[[int], str]
    """Draws that many random characters of the keys' alphabet."""

    def list(self, request: AdminRequest) -> Answer:
        """List a fleet's keys."""
        question = f"{request.route} {request.path['fleet']}"
        after, most = read_page(Parameters(request.query, PAGE), question, After, FIRST)
        with self.store.reading() as rows:
            fleet = rows.fleet(request.path["fleet"])
            found = rows.keys(fleet.fleet_id, after.id, most + 1)
        items = [each.described(request.now) for each in found]
        return answer_page(request, question, items, most, lambda item: After(item["key_id"]))

    def get(self, request: AdminRequest) -> Answer:
        """Show a key, without its text."""
        Parameters(request.query, known=())
        with self.store.reading() as rows:
            key = rows.key(request.path["fleet"], request.path["key"])
        return answer(request, 200, key.described(request.now))

    def create(self, request: AdminRequest) -> Answer:
        """Create a key; only this answer shows its text."""
        wanted = request.read(NewKey)

        def decide(rows: Changes) -> Change:
            fleet = rows.fleet(request.path["fleet"])
            check_active(fleet)
            check_number(rows.count_working_keys(request.now))
            made = create_key(fleet.fleet_id, wanted, self.stage, self.periods, request.now, self.draw)
            deed = note_key("key.create", None, made.key, request.now)
            return Change([deed], lambda changes: changes.insert_key(made), deed.after, 201, *_shown_once(made))

        return self.changer.change(request, KEYS, decide)

    def rotate(self, request: AdminRequest) -> Answer:
        """Give a key a successor; both work until the overlap ends."""

        def decide(rows: Changes) -> Change:
            fleet = rows.fleet(request.path["fleet"])
            check_active(fleet)
            check_number(rows.count_working_keys(request.now))
            key = rows.key(fleet.fleet_id, request.path["key"])
            ending, made = rotate_key(key, self.stage, self.periods, request.now, self.draw)
            deeds = [
                note_key("key.create", None, made.key, request.now),
                note_key("key.rotate", key, ending, request.now),
            ]

            def write(changes: Changes) -> None:
                changes.insert_key(made)
                changes.update_keys([ending])

            body = deeds[0].after | {"replaces": deeds[1].after}
            return Change(deeds, write, body, 201, *_shown_once(made))

        return self.changer.change(request, KEYS, decide)

    def revoke(self, request: AdminRequest) -> Answer:
        """Revoke a key."""
        reason = request.reason()

        def decide(rows: Changes) -> Change:
            key = rows.key(request.path["fleet"], request.path["key"])
            revoked = revoke_key(key, request.now)
            deed = note_key("key.revoke", key, revoked, request.now)
            deeds = [] if revoked == key else [deed]
            return Change(deeds, lambda changes: changes.update_keys([revoked]), deed.after, reason=reason)

        return self.changer.change(request, KEYS, decide)


def note_key(action: str, before: ApiKey | None, after: ApiKey, now: datetime) -> Deed:
    """Write what happens to a key."""
    return Deed(action, f"key/{after.key_id}", before.described(now) if before else None, after.described(now))


def _shown_once(made: MadeKey) -> tuple[dict[str, Any], dict[str, Any]]:
    return {"key": made.text}, {"key": None, "key_shown": "The first answer to this request showed the key, once."}
