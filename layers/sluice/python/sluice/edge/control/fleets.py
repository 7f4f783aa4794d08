"""Admins' requests about fleets."""

import msgspec

from sluice.core.api.answers import Answer
from sluice.core.api.keys import KEYS
from sluice.core.control.api_keys import revoke_key
from sluice.core.control.fleets import Fleet, FleetChange, NewFleet, archive_fleet, change_fleet, create_fleet
from sluice.core.control.requests import AdminRequest
from sluice.core.query.parameters import Parameters
from sluice.edge.control.answering import FIRST, PAGE, After, answer, answer_page, read_page
from sluice.edge.control.changing import Change, Changer, Deed
from sluice.edge.control.keys import note_key
from sluice.edge.control.store import Changes, ControlStore


class Fleets(msgspec.Struct, frozen=True):
    """Fleets, which are published with their keys; their rules and destinations follow within a minute."""

    store: ControlStore
    changer: Changer
    region: str

    def list(self, request: AdminRequest) -> Answer:
        """List fleets."""
        after, most = read_page(Parameters(request.query, PAGE), request.route, After, FIRST)
        with self.store.reading() as rows:
            found = rows.fleets(after.id, most + 1)
        items = [each.described() for each in found]
        return answer_page(request, request.route, items, most, lambda item: After(item["fleet_id"]))

    def get(self, request: AdminRequest) -> Answer:
        """Show a fleet."""
        Parameters(request.query, known=())
        with self.store.reading() as rows:
            fleet = rows.fleet(request.path["fleet"])
        return answer(request, 200, fleet.described())

    def create(self, request: AdminRequest) -> Answer:
        """Create a fleet."""
        wanted = request.read(NewFleet)

        def decide(_rows: Changes) -> Change:
            fleet = create_fleet(wanted, self.region, request.now)
            deed = _note("fleet.create", None, fleet)
            return Change([deed], lambda changes: changes.insert_fleet(fleet), fleet.described(), 201)

        return self.changer.change(request, KEYS, decide)

    def change(self, request: AdminRequest) -> Answer:
        """Change a fleet's settings."""
        wanted = request.read(FleetChange)

        def decide(rows: Changes) -> Change:
            fleet = rows.fleet(request.path["fleet"])
            request.check_version(fleet.described())
            changed = change_fleet(fleet, wanted)
            deeds = [] if changed == fleet else [_note("fleet.change", fleet, changed)]
            return Change(deeds, lambda changes: changes.update_fleet(changed), changed.described())

        return self.changer.change(request, KEYS, decide)

    def archive(self, request: AdminRequest) -> Answer:
        """Archive a fleet and revoke its keys."""
        reason = request.reason()

        def decide(rows: Changes) -> Change:
            fleet = rows.fleet(request.path["fleet"])
            request.check_version(fleet.described())
            archived = archive_fleet(fleet, request.now)
            keys = rows.working_keys(fleet.fleet_id, request.now)
            revoked = [revoke_key(key, request.now) for key in keys]
            deeds = [_note("fleet.archive", fleet, archived)]
            deeds += [note_key("key.revoke", *pair, request.now) for pair in zip(keys, revoked, strict=True)]

            def write(changes: Changes) -> None:
                changes.update_fleet(archived)
                changes.update_keys(revoked)

            body = archived.described() | {"revoked_keys": [key.key_id for key in revoked]}
            return Change(deeds, write, body, reason=reason)

        return self.changer.change(request, KEYS, decide)


def _note(action: str, before: Fleet | None, after: Fleet) -> Deed:
    return Deed(action, f"fleet/{after.fleet_id}", before.described() if before else None, after.described())
