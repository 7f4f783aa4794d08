"""Incidents of what a rule said of many devices: alert's own board, taken through the days.

Time passes here by the readings, and a verdict is taken in at the moment of its last reading.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec

from sluice.core.alerts.board import Board
from sluice.core.alerts.incidents import Incident
from sluice.core.alerts.limits import COOL_DOWN, TOGETHER, UNHEARD, WATCHED
from sluice.core.alerts.messages import StageAddress
from sluice.core.alerts.series import SeriesKey, key_of
from sluice.core.backtest.judging import MinuteVerdicts, SilentDevices
from sluice.core.detect.verdicts import Verdict

LOOK_MINUTES = 5
"""How often devices are looked for that were silent for so long that they are given up."""


class OpenedIncident(msgspec.Struct):
    """An incident, with what was true when it opened."""

    incident: Incident
    device_id: str
    value: float | None
    why: str


class PastBoard(Board):
    """A board that time passes on, as it does between the transactions of alert and attend."""

    def __init__(self) -> None:
        super().__init__(
            now=datetime.min.replace(tzinfo=UTC),
            sender=StageAddress(stage="", dashboard=""),
            steps=(),
            series={},
            incidents=(),
            members=(),
            silences=(),
            told_incidents={},
        )
        self.opened: dict[str, OpenedIncident] = {}
        self._breached_at: dict[SeriesKey, datetime] = {}
        self._heard_at: dict[str, datetime] = {}

    def wants(self, verdict: Verdict) -> bool:
        """Return whether alert watches the device, so that it gets clear readings too."""
        key = key_of(verdict)
        breached_at = self._breached_at.get(key)
        if breached_at is not None and verdict.received_at - breached_at < WATCHED:
            return True
        return any(True for _ in self._open_of(key))

    def take_at(self, verdict: Verdict) -> None:
        """Take a verdict in at its own time."""
        self._now = verdict.received_at
        self._heard_at[verdict.device_id] = self._now
        known = len(self.incidents)
        self.take(verdict)
        if any(one.state == "breach" for one in verdict.readings):
            self._breached_at[key_of(verdict)] = self._now
        if len(self.incidents) > known:
            incident = self.incidents[next(reversed(self.incidents))]
            self.opened[incident.incident_id] = OpenedIncident(
                incident, verdict.device_id, incident.value, incident.why
            )

    def pass_time(self, now: datetime) -> None:
        """Give up devices that were silent for a day, and forget incidents that nothing can open again."""
        self._now = now
        self.messages.clear()
        for member in list(self.members.values()):
            incident = self.incidents[member.incident_id]
            firing = member.cleared_at is None and incident.state == "open"
            if firing and self._heard_at[member.device_id] < now - UNHEARD:
                self.lose(member)
        for incident in list(self.incidents.values()):
            if incident.resolved_at is not None and incident.resolved_at < now - COOL_DOWN - TOGETHER:
                self._forget(incident)

    def _forget(self, incident: Incident) -> None:
        del self.incidents[incident.incident_id]
        self._by_rule[incident.fleet_id, incident.rule_id, incident.metric].remove(incident)
        for place in [place for place in self.members if place[0] == incident.incident_id]:
            del self.members[place]


def open_incidents(
    held: Iterable[MinuteVerdicts], silent_devices: SilentDevices, until: datetime, *, silence: bool
) -> list[OpenedIncident]:
    """Open the incidents of the verdicts on all devices up to a moment, the first one first."""
    board, looked = PastBoard(), 0
    for each in sorted(held, key=lambda one: one.minute):
        if each.minute // LOOK_MINUTES != looked:
            looked = each.minute // LOOK_MINUTES
            board.pass_time(each.verdicts[0].received_at)
        if silence and silent_devices.is_asleep(each.minute):
            continue
        for verdict in each.verdicts:
            if each.breach or board.wants(verdict):
                board.take_at(verdict)
    board.pass_time(until)
    return sorted(board.opened.values(), key=lambda one: (one.incident.opened_at, one.incident.incident_id))
