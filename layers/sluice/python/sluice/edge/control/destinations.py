"""Admins' requests about destinations of notifications."""

import msgspec

from sluice.core.api.answers import Answer
from sluice.core.control.destinations import (
    DestinationChange,
    NewDestination,
    StoredDestination,
    archive_destination,
    change_destination,
    check_room,
    create_destination,
)
from sluice.core.control.fleets import check_active
from sluice.core.control.requests import AdminRequest
from sluice.core.errors import Refusal
from sluice.core.notify.destinations import DESTINATIONS
from sluice.core.query.parameters import Parameters
from sluice.edge.control import destination_rows
from sluice.edge.control.answering import FIRST, PAGE, After, answer, answer_page, read_page
from sluice.edge.control.changing import Change, Changer, Deed
from sluice.edge.control.store import Changes, ControlStore


class Destinations(msgspec.Struct, frozen=True):
    """Where people are notified."""

    store: ControlStore
    changer: Changer
    stage: str

    def list(self, request: AdminRequest) -> Answer:
        """List destinations."""
        after, most = read_page(Parameters(request.query, PAGE), request.route, After, FIRST)
        with self.store.reading() as rows:
            found = destination_rows.list_destinations(rows, after.id, most + 1)
        items = [each.described() for each in found]
        return answer_page(request, request.route, items, most, lambda item: After(item["destination_id"]))

    def get(self, request: AdminRequest) -> Answer:
        """Show a destination."""
        Parameters(request.query, known=())
        with self.store.reading() as rows:
            destination = destination_rows.get_destination(rows, request.path["destination"])
        return answer(request, 200, destination.described())

    def create(self, request: AdminRequest) -> Answer:
        """Create a destination."""
        wanted = request.read(NewDestination)

        def decide(rows: Changes) -> Change:
            if wanted.fleet_id is not None:
                check_active(rows.fleet(wanted.fleet_id))
            destination = create_destination(wanted, self.stage, request.now)
            if destination_rows.find_destination(rows, destination.destination_id) is not None:
                detail = f"There is, or was, a destination {destination.destination_id}: ids are used once."
                raise Refusal(409, "destination_exists", detail)
            check_room(destination_rows.count_destinations(rows))
            deed = _note("destination.create", None, destination)
            return Change(
                [deed], lambda changes: destination_rows.insert_destination(changes, destination), deed.after, 201
            )

        return self.changer.change(request, DESTINATIONS, decide)

    def change(self, request: AdminRequest) -> Answer:
        """Change a destination's secret, its least severity, or when it is escalated to."""
        wanted = request.read(DestinationChange)

        def decide(rows: Changes) -> Change:
            destination = destination_rows.get_destination(rows, request.path["destination"])
            request.check_version(destination.described())
            changed = change_destination(destination, wanted, self.stage)
            deeds = [] if changed == destination else [_note("destination.change", destination, changed)]
            return Change(
                deeds, lambda changes: destination_rows.update_destination(changes, changed), changed.described()
            )

        return self.changer.change(request, DESTINATIONS, decide)

    def archive(self, request: AdminRequest) -> Answer:
        """Archive a destination."""
        reason = request.reason()

        def decide(rows: Changes) -> Change:
            destination = destination_rows.get_destination(rows, request.path["destination"])
            request.check_version(destination.described())
            archived = archive_destination(destination, request.now)
            deed = _note("destination.archive", destination, archived)
            return Change(
                [deed],
                lambda changes: destination_rows.update_destination(changes, archived),
                deed.after,
                reason=reason,
            )

        return self.changer.change(request, DESTINATIONS, decide)


def _note(action: str, before: StoredDestination | None, after: StoredDestination) -> Deed:
    target = f"destination/{after.destination_id}"
    return Deed(action, target, before.described() if before else None, after.described())
