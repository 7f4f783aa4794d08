"""Histories of devices for tests of backtests, and what detect and alert make of the same readings live."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from sluice.core.alerts.board import Board, Member
from sluice.core.alerts.incidents import Incident
from sluice.core.alerts.limits import UNHEARD, WATCHED
from sluice.core.alerts.messages import StageAddress
from sluice.core.alerts.series import Series, SeriesKey, key_of
from sluice.core.backtest.histories import DayBaseline, DeviceHistory, SeriesHistory
from sluice.core.backtest.judging import Judging, SilentDevices
from sluice.core.backtest.opening import OpenedIncident, open_incidents
from sluice.core.backtest.windows import Windows, minute_of
from sluice.core.detect.bounds import begin_bounds, find_limits
from sluice.core.detect.device_readings import Known, judge_device
from sluice.core.detect.readings import Readings
from sluice.core.detect.series_rules import SeriesRule
from sluice.core.events.units import Series as DeclaredSeries
from sluice.core.events.units import SeriesBook
from sluice.core.records import Origin

START = datetime(2026, 11, 30, tzinfo=UTC)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
GRAIN = 0.1
BOOK = SeriesBook({}, {"heat": DeclaredSeries("degC", GRAIN)})
FLEET = "fleet-1"

Values = Sequence[float | None]
"""A reading for each minute from `START` on, or none."""


def make_rule(**changed: object) -> SeriesRule:
    """Make a rule of a fleet."""
    given = {"fleet_id": FLEET, "rule_id": "hot", "version": 1, "metric": "heat", "kind": "above"}
    return SeriesRule(**given | {"open": 80.0, "clear": 75.0, "breaches": 2, "of": 3} | changed)  # type: ignore[arg-type]


def make_windows(values: Values, first: int = minute_of(START)) -> Windows:
    """Make minutes with one reading each."""
    there = [(minute, value) for minute, value in enumerate(values, first) if value is not None]
    at, readings = [minute for minute, _ in there], [value for _, value in there]
    return Windows(at, [1] * len(at), readings, [0.0] * len(at), readings, readings)


def make_history(values: Values, device: str = "device-1", baselines: Iterable[DayBaseline] = ()) -> DeviceHistory:
    """Make the history of a device that is there since long ago."""
    series = SeriesHistory("heat", make_windows(values), [*baselines])
    return DeviceHistory(FLEET, device, START - 365 * DAY, [series])


def backtest(
    rule: SeriesRule,
    histories: Iterable[DeviceHistory],
    until: datetime,
    since: datetime = START,
    book: SeriesBook = BOOK,
) -> list[OpenedIncident]:
    """Backtest a rule over whole histories."""
    judging, silent_devices = Judging(rule, book, 5, 7 * DAY), SilentDevices()
    first, last = minute_of(since), minute_of(until)
    told = [each for history in histories for each in judging.judge(history, first, last, silent_devices)]
    return open_incidents(told, silent_devices, until, silence=rule.kind == "silence")


class Live:
    """detect and alert with the stores between them: each minute's readings, as they come."""

    def __init__(self, rule: SeriesRule) -> None:
        self.rule = rule
        self.series: dict[SeriesKey, Series] = {}
        self.incidents: dict[str, Incident] = {}
        self.members: dict[tuple[str, str], Member] = {}
        self._breached_at: dict[str, datetime] = {}
        self._heard_at: dict[str, datetime] = {}

    def run(self, devices: Mapping[str, Values], minutes: int) -> None:
        """Take in the readings of so many minutes."""
        for number in range(minutes):
            now = START + number * MINUTE
            for device, values in devices.items():
                value = values[number] if number < len(values) else None
                if value is not None:
                    self._take(device, value, number, now)
            self._attend(now)

    def _take(self, device: str, value: float, number: int, now: datetime) -> None:
        watched = self._is_watched(device, now)
        event = Readings(
            Origin("raw-events", 3, number), FLEET, device, f"{device}-{number}", now, now, "1.0", "c", {"heat": value}
        )
        bounds = begin_bounds(None, now)
        bounds.limits["heat"] = find_limits([self.rule], now, None, GRAIN)
        if not watched and bounds.have([event]):
            return
        known = Known(None, frozenset([self.rule.rule_id]) if watched else frozenset())
        board = self._board(now)
        for verdict in judge_device([event], lambda *_: (self.rule,), known, BOOK, DAY):
            board.take(verdict)
            self._heard_at[device] = now
            if any(one.state == "breach" for one in verdict.readings):
                self._breached_at[device] = now
            self.series[key_of(verdict)] = board.series[key_of(verdict)]
        self._keep(board)

    def _is_watched(self, device: str, now: datetime) -> bool:
        breached_at = self._breached_at.get(device)
        if breached_at is not None and now - breached_at < WATCHED:
            return True
        return any(
            member.device_id == device and member.cleared_at is None and self.incidents[incident_id].state == "open"
            for (incident_id, _), member in self.members.items()
        )

    def _attend(self, now: datetime) -> None:
        board = self._board(now)
        for member in list(board.members.values()):
            firing = member.cleared_at is None and board.incidents[member.incident_id].state == "open"
            if firing and self._heard_at[member.device_id] < now - UNHEARD:
                board.lose(member)
        self._keep(board)

    def _board(self, now: datetime) -> Board:
        return Board(
            now=now,
            sender=StageAddress(stage="test", dashboard=""),
            steps=(),
            series=self.series,
            incidents=self.incidents.values(),
            members=self.members.values(),
            silences=(),
            told_incidents={},
        )

    def _keep(self, board: Board) -> None:
        self.incidents |= board.incidents
        self.members |= board.members


def tell(incident: Incident) -> tuple[datetime, datetime | None, str | None, int, list[str]]:
    """Tell what must be the same of an incident."""
    return incident.opened_at, incident.resolved_at, incident.resolution, incident.devices, sorted(incident.examples)
