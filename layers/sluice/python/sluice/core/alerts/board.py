"""What alert knows of some fleets during one transaction, and what verdicts and time change in it.

take a verdict's new readings in -> the series fires or ends -> a device joins or leaves an incident -> write
the messages that are due

Whoever loads a board holds the lock of its fleets, and stores it with its messages in the same transaction.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

import msgspec

from sluice.core.alerts.incidents import (
    Incident,
    Resolution,
    choose_correlation_id,
    find_due,
    join_incident,
    open_incident,
    raise_severity,
    reopen_incident,
    resolve_incident,
    tell,
)
from sluice.core.alerts.limits import COOL_DOWN, MOST_INCIDENTS, TOGETHER
from sluice.core.alerts.messages import AlertMessage, StageAddress
from sluice.core.alerts.series import Series, SeriesKey, add_reading, is_known, key_of, take_new
from sluice.core.alerts.silences import Silence
from sluice.core.alerts.steps import Step
from sluice.core.detect.series_rules import Severity
from sluice.core.detect.verdicts import Judged, Verdict


class Member(msgspec.Struct, kw_only=True):
    """A device of an incident."""

    incident_id: str
    device_id: str
    joined_at: datetime
    cleared_at: datetime | None = None


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """An event with which a device joined an incident."""

    incident_id: str
    device_id: str
    event_id: str
    correlation_id: str
    joined_at: datetime


class Board:
    """The series, incidents and silences of some fleets."""

    def __init__(
        self,
        *,
        now: datetime,
        sender: StageAddress,
        steps: Sequence[Step],
        series: Mapping[SeriesKey, Series],
        incidents: Iterable[Incident],
        members: Iterable[Member],
        silences: Sequence[Silence],
        told_incidents: Mapping[tuple[str, Severity], int],
    ) -> None:
        self._now, self._sender, self._steps = now, sender, steps
        self.series = dict(series)
        self.incidents: dict[str, Incident] = {}
        self._by_rule: defaultdict[tuple[str, str, str], list[Incident]] = defaultdict(list)
        for each in incidents:
            self._add(each)
        self.members = {(each.incident_id, each.device_id): each for each in members}
        self._silences = silences
        self._told_incidents = Counter(told_incidents)
        self.messages: list[AlertMessage] = []
        self.causes: list[Cause] = []
        self.changed_series: set[SeriesKey] = set()
        self.breached: set[SeriesKey] = set()
        self.changed_incidents: set[str] = set()
        self.changed_members: set[tuple[str, str]] = set()

    def take(self, verdict: Verdict) -> None:
        """Take in the readings of a verdict that are new."""
        key = key_of(verdict)
        series = self.series.setdefault(key, Series())
        taken = series.taken
        new = take_new(series, verdict)
        if series.taken is not taken:
            self.changed_series.add(key)
        for reading in new:
            if is_known(series, reading):
                continue
            if reading.state == "breach":
                self.breached.add(key)
            turn = add_reading(series, verdict, reading)
            if turn == "fires":
                self._fire(key, verdict, reading)
            elif turn == "ends":
                self._end(key, series, reading)

    def lose(self, member: Member) -> None:
        """Give up a device that was silent for long."""
        self._leave(self.incidents[member.incident_id], member, "unheard", self._now)

    def settle(self) -> None:
        """Write the message that is due about each incident."""
        for incident in sorted(self.incidents.values(), key=lambda each: (each.opened_at, each.incident_id)):
            self._tell(incident)

    def _add(self, incident: Incident) -> None:
        self.incidents[incident.incident_id] = incident
        self._by_rule[incident.fleet_id, incident.rule_id, incident.metric].append(incident)

    def _fire(self, key: SeriesKey, verdict: Verdict, reading: Judged) -> None:
        found = self._find(key, reading.at)
        if found is None:
            found = open_incident(key, verdict, reading, self._now)
            self._add(found)
        member = self.members.get((found.incident_id, key.device_id))
        if member is not None and member.cleared_at is None:
            if raise_severity(found, verdict.severity):
                self.changed_incidents.add(found.incident_id)
            return
        if found.state == "resolved":
            self._tell(found)
            reopen_incident(found, self._now)
        join_incident(found, key.device_id, verdict, reading, new=member is None)
        self._keep(found, Member(incident_id=found.incident_id, device_id=key.device_id, joined_at=reading.at))
        if reading.event_id is not None:
            cause = Cause(
                incident_id=found.incident_id,
                device_id=key.device_id,
                event_id=reading.event_id,
                correlation_id=choose_correlation_id(verdict, reading),
                joined_at=reading.at,
            )
            self.causes.append(cause)

    def _find(self, key: SeriesKey, at: datetime) -> Incident | None:
        """Find the incident that a device which fires belongs to: its own, or that of others that fired just now."""
        same = self._by_rule[key.fleet_id, key.rule_id, key.metric]
        own = [
            each
            for each in same
            if (each.incident_id, key.device_id) in self.members
            and (each.resolved_at is None or at - each.resolved_at <= COOL_DOWN)
        ]
        near = [each for each in same if abs(at - each.joined_at) <= TOGETHER]
        # An open one first, then the newest.
        return max(own or near, key=lambda each: (each.state == "open", each.opened_at, each.incident_id), default=None)

    def _end(self, key: SeriesKey, series: Series, reading: Judged) -> None:
        for incident, member in list(self._open_of(key)):
            since = series.clear_since or reading.at
            if incident.reopened and reading.at - since < COOL_DOWN:
                continue
            self._leave(incident, member, "clear", reading.at)
            if incident.state == "resolved":
                incident.value, incident.read_at = reading.value, reading.at

    def _open_of(self, key: SeriesKey) -> Iterator[tuple[Incident, Member]]:
        for incident in self._by_rule[key.fleet_id, key.rule_id, key.metric]:
            member = self.members.get((incident.incident_id, key.device_id))
            if member is not None and member.cleared_at is None and incident.state == "open":
                yield incident, member

    def _leave(self, incident: Incident, member: Member, resolution: Resolution, at: datetime) -> None:
        if incident.open_devices <= 1:
            # An incident that opens and ends at once has both messages.
            self._tell(incident)
            resolve_incident(incident, resolution, at, self._now)
        else:
            incident.open_devices -= 1
        member.cleared_at = at
        self._keep(incident, member)

    def _keep(self, incident: Incident, member: Member) -> None:
        place = (member.incident_id, member.device_id)
        self.members[place] = member
        self.changed_members.add(place)
        self.changed_incidents.add(incident.incident_id)

    def _tell(self, incident: Incident) -> None:
        place, held = (incident.fleet_id, incident.severity), incident.held
        happening = find_due(
            incident,
            self._now,
            silenced=self._is_silenced(incident),
            storm=self._told_incidents[place] >= MOST_INCIDENTS,
            steps=self._steps,
        )
        if incident.held != held:
            self.changed_incidents.add(incident.incident_id)
        if happening is not None:
            if incident.first_told_at is None:
                self._told_incidents[place] += 1
            self.messages.append(tell(incident, happening, self._now, self._sender, self._steps))
            self.changed_incidents.add(incident.incident_id)

    def _is_silenced(self, incident: Incident) -> bool:
        """Return whether the incident is silenced as a whole, or each of its devices is."""
        fleet_id, rule_id = incident.fleet_id, incident.rule_id
        if any(each.covers(fleet_id, rule_id, None, self._now) for each in self._silences):
            return True
        devices = {each.device_id for each in self._silences if each.device_id is not None}
        silenced = 0
        for device_id in devices:
            member = self.members.get((incident.incident_id, device_id))
            if member is not None and member.cleared_at is None:
                silenced += any(each.covers(fleet_id, rule_id, device_id, self._now) for each in self._silences)
        return 0 < incident.open_devices <= silenced
