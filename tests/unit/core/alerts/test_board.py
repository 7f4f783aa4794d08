"""Which incidents verdicts make, and which messages: at most so many, and none twice."""

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice.core.alerts.board import Board, Cause, Member
from sluice.core.alerts.incidents import Incident, resolve_incident
from sluice.core.alerts.limits import COOL_DOWN, HOUR, MOST_INCIDENTS, SETTLED, TOGETHER
from sluice.core.alerts.messages import AlertMessage
from sluice.core.alerts.silences import Silence
from sluice.core.alerts.steps import Step
from sluice.core.detect.verdicts import Judged, Verdict
from tests.support.alerts import MINUTE, SENDER, START, reading, readings, verdict

if TYPE_CHECKING:
    from sluice.core.alerts.series import Series, SeriesKey


class World:
    """What transactions keep between boards, as the database does."""

    def __init__(self, *, silences: Sequence[Silence] = (), steps: Sequence[Step] = (), stores: bool = True) -> None:
        self.series: dict[SeriesKey, Series] = {}
        self.incidents: dict[str, Incident] = {}
        self.members: dict[tuple[str, str], Member] = {}
        self.silences, self.steps, self.stores = silences, steps, stores
        self.messages: list[AlertMessage] = []
        self.causes: list[Cause] = []

    def take(self, *verdicts: Verdict, now: datetime | None = None) -> list[str]:
        """Take verdicts in, in one transaction; return what the messages say."""
        times = [one.at for each in verdicts for one in each.readings]
        board = self._board(now or max(times, default=START))
        for each in verdicts:
            board.take(each)
        return self._keep(board)

    def attend(self, now: datetime) -> list[str]:
        """Let time alone do what it does."""
        return self._keep(self._board(now))

    def lose(self, now: datetime) -> list[str]:
        """Give up every device of an open incident."""
        board = self._board(now)
        for member in [each for each in board.members.values() if each.cleared_at is None]:
            board.lose(member)
        return self._keep(board)

    def _board(self, now: datetime) -> Board:
        told = Counter(
            (each.fleet_id, each.severity)
            for each in self.incidents.values()
            if each.first_told_at is not None and each.first_told_at > now - HOUR
        )
        return Board(
            now=now,
            sender=SENDER,
            steps=self.steps,
            series=self._load(self.series),
            incidents=self._load(self.incidents).values(),
            members=self._load(self.members).values(),
            silences=[each for each in self.silences if each.until > now],
            told_incidents=told,
        )

    def _keep(self, board: Board) -> list[str]:
        board.settle()
        self.series |= {key: board.series[key] for key in board.changed_series}
        self.incidents |= {each: board.incidents[each] for each in board.changed_incidents}
        self.members |= {place: board.members[place] for place in board.changed_members}
        self.messages += board.messages
        self.causes += board.causes
        return [each.happening for each in board.messages]

    def _load(self, things: dict[Any, Any]) -> dict[Any, Any]:
        """Store and load, so that no board sees another's changes."""
        if not self.stores:
            return things
        return {key: msgspec.json.decode(msgspec.json.encode(each), type=type(each)) for key, each in things.items()}

    @property
    def incident(self) -> Incident:
        (incident,) = self.incidents.values()
        return incident


def after_each(*minutes: int) -> list[Step]:
    return [Step(after_minutes=each) for each in minutes]


def after(minutes: float) -> datetime:
    return START + minutes * MINUTE


def test_an_incident_opens_with_a_breach_and_ends_with_clear_readings() -> None:
    world = World()
    assert world.take(verdict(readings("b"))) == ["opened"]
    assert world.take(verdict(readings(".", 1))) == []
    assert world.take(verdict(readings(".", 2))) == ["resolved"]
    first, last = world.messages
    assert (first.incident_id, first.sequence, first.read_at) == (last.incident_id, 1, START)
    assert (last.sequence, last.resolved_at, last.read_at) == (2, after(2), after(2))
    assert world.incident.resolution == "clear"


def test_an_incident_that_opens_and_ends_in_one_batch_is_told_as_both() -> None:
    assert World().take(verdict(readings("b.."))) == ["opened", "resolved"]


def test_nothing_is_told_twice_when_verdicts_are_delivered_again() -> None:
    world = World()
    given = [verdict(readings("b")), verdict(readings("..", 1))]
    for _ in range(3):
        for each in given:
            world.take(each, now=after(5))
    assert [each.happening for each in world.messages] == ["opened", "resolved"]


def test_an_event_that_a_device_sends_twice_is_one_reading() -> None:
    world, first = World(), reading(0, "breach")
    again = msgspec.structs.replace(first, position=7)
    assert world.take(verdict([first], breaches=2, of=3)) == []
    assert world.take(verdict([again, msgspec.structs.replace(first, position=8)], breaches=2, of=3)) == []
    (series,) = world.series.values()
    assert (len(series.latest), series.taken[3].position) == (1, 8)
    assert world.take(verdict([reading(9, "breach")], breaches=2, of=3)) == ["opened"]


def test_a_clear_reading_that_is_sent_twice_ends_nothing() -> None:
    world, clear = World(), reading(1, "clear")
    world.take(verdict(readings("b")))
    assert world.take(verdict([clear])) == []
    assert world.take(verdict([msgspec.structs.replace(clear, position=2)])) == []


def test_a_device_that_fires_again_soon_opens_the_same_incident_which_then_ends_after_an_hour() -> None:
    world = World()
    assert world.take(verdict(readings("b..b"))) == ["opened", "resolved", "updated"]
    assert world.messages[-1].why.startswith("It fired again after its end")
    assert world.take(verdict(readings("." * 59, 4)), now=after(63)) == []
    assert world.take(verdict(readings("...", 63)), now=after(66)) == ["resolved"]
    assert len(world.incidents) == 1


def test_a_device_that_fires_again_later_opens_a_new_incident() -> None:
    world = World()
    world.take(verdict(readings("b..")))
    later = 3 + COOL_DOWN // MINUTE
    assert world.take(verdict(readings("b", later))) == ["opened"]
    assert len(world.incidents) == 2


def test_an_incident_is_escalated_only_for_destinations_that_want_its_fleet_and_severity() -> None:
    other = Step(after_minutes=5, fleet_id="fleet-2")
    worse = Step(after_minutes=5, fleet_id="fleet-1", least_severity="critical")
    own = Step(after_minutes=10, fleet_id="fleet-1", least_severity="warning")
    world = World(steps=[other, worse, own])
    world.take(verdict(readings("b")))
    assert world.attend(after(9)) == []
    assert world.attend(after(10)) == ["escalated"]
    assert world.messages[-1].escalated_minutes == 10


def counted(world: World) -> list[AlertMessage]:
    """The messages that an hour has room for."""
    return [each for each in world.messages if each.happening not in ("escalated", "acknowledged")]


@pytest.mark.parametrize("pattern", ["b..", "b...........", "bbbbb.....", "b..........b......................"])
def test_a_device_that_flaps_for_an_hour_is_told_of_at_most_three_times(pattern: str) -> None:
    world = World(steps=after_each(5, 15))
    hour = (pattern * 60)[:60]
    for minute in range(60):
        world.take(verdict(readings(hour[minute], minute)), now=after(minute))
        world.attend(after(minute + 0.5))
    # Who is told at once hears of it three times. An escalation goes to others, once for each step.
    assert 1 <= len(counted(world)) <= 3
    assert len(world.messages) - len(counted(world)) <= 2
    assert len(world.incidents) == 1
    # And it is not forgotten: its end is told once it is quiet.
    for minute in range(60, 200):
        world.take(verdict(readings(".", minute)), now=after(minute))
        world.attend(after(minute + 0.5))
    assert world.messages[-1].happening == "resolved"
    assert len(counted(world)) <= 4


def test_ten_thousand_devices_that_fail_at_once_are_one_incident_and_at_most_five_messages() -> None:
    world = World(steps=after_each(5, 15, 30), stores=False)
    devices = [f"device-{number}" for number in range(10_000)]
    for first in range(0, len(devices), 1000):
        failing = [verdict(readings("b"), device) for device in devices[first : first + 1000]]
        world.take(*failing, now=after(first / 5000))
    assert world.incident.devices == world.incident.open_devices == 10_000
    assert world.messages[-1].devices >= 1000
    assert len(world.messages[-1].examples) == 5
    for minute in range(3, 40):
        world.attend(after(minute))
    for first in range(0, len(devices), 1000):
        world.take(*[verdict(readings("..", 40), each) for each in devices[first : first + 1000]], now=after(42))
    assert world.messages[-1].happening == "resolved"
    assert len(counted(world)) <= 5
    assert world.incident.state == "resolved"


def test_devices_that_fire_far_apart_have_incidents_of_their_own() -> None:
    world = World()
    world.take(verdict(readings("b")))
    world.take(verdict(readings("b", 1 + TOGETHER // MINUTE), "device-2"))
    assert len(world.incidents) == 2


def test_an_incident_of_many_ends_when_the_last_device_does() -> None:
    world = World()
    world.take(verdict(readings("b")), verdict(readings("b"), "device-2"))
    assert world.take(verdict(readings("..", 1))) == []
    assert world.take(verdict(readings("..", 1), "device-2")) == ["resolved"]


def test_too_many_incidents_of_a_fleet_wait_until_there_is_room() -> None:
    world = World()
    for number in range(MOST_INCIDENTS + 5):
        world.take(verdict(readings("b"), rule_id=f"rule-{number}"))
    assert len(world.messages) == MOST_INCIDENTS
    assert [each.held for each in world.incidents.values()].count("storm") == 5
    # Another severity has room of its own.
    assert world.take(verdict(readings("b"), rule_id="worse", severity="critical")) == ["opened"]
    assert world.attend(after(59)) == []
    assert world.attend(after(61)) == ["opened"] * 5


def silence(until: float, **of: str) -> Silence:
    given = {"rule_id": None, "device_id": None} | of
    return Silence(silence_number=1, fleet_id="fleet-1", until=after(until), **given)


@pytest.mark.parametrize("of", [{}, {"rule_id": "hot"}, {"device_id": "device-1"}])
def test_a_silenced_incident_that_is_open_is_told_when_the_silence_ends(of: dict[str, str]) -> None:
    world = World(silences=[silence(30, **of)])
    assert world.take(verdict(readings("b"))) == []
    assert world.attend(after(29)) == []
    assert world.attend(after(30)) == ["silence_ended"]


def test_a_silenced_incident_that_ends_before_the_silence_is_never_told() -> None:
    world = World(silences=[silence(30)])
    assert world.take(verdict(readings("b.."))) == []
    assert world.attend(after(31)) == []


def test_the_end_of_an_incident_that_was_told_is_told_in_a_silence_too() -> None:
    world = World()
    world.take(verdict(readings("b")))
    world.silences = [silence(30)]
    assert world.take(verdict(readings("..", 1))) == ["resolved"]


def test_a_device_that_is_not_silenced_is_told_beside_one_that_is() -> None:
    world = World(silences=[silence(30, device_id="device-1")])
    assert world.take(verdict(readings("b"))) == []
    assert world.take(verdict(readings("b"), "device-2")) == ["silence_ended"]


def test_an_incident_that_no_one_acknowledges_is_escalated_step_by_step() -> None:
    world = World(steps=after_each(5, 15))
    world.take(verdict(readings("b")))
    assert [world.attend(after(minute)) for minute in (4, 5, 6)] == [[], ["escalated"], []]
    assert world.messages[-1].escalated_minutes == 5
    assert world.attend(after(15)) == ["escalated"]
    assert world.messages[-1].escalated_minutes == 15


def test_an_incident_that_is_acknowledged_is_told_so_once_and_not_escalated() -> None:
    world = World(steps=after_each(5))
    world.take(verdict(readings("b")))
    world.incident.acknowledged_at, world.incident.acknowledged_by = after(3), "someone"
    assert [world.attend(after(minute)) for minute in (4, 5, 60)] == [["acknowledged"], [], []]


def test_the_last_message_of_an_hour_tells_an_end_that_lasts() -> None:
    world = World()
    world.take(verdict(readings("b")))
    assert world.take(verdict(readings("b", 1), severity="critical", rule_version=2)) == ["updated"]
    assert world.take(verdict(readings("..", 3), rule_version=2)) == []
    assert world.attend(after(4) + SETTLED) == ["resolved"]


def test_who_was_escalated_to_hears_what_follows_and_no_step_is_taken_twice() -> None:
    world = World(steps=after_each(5))
    world.take(verdict(readings("b")))
    world.attend(after(5))
    world.take(verdict(readings("..b", 6)))
    assert [each.happening for each in world.messages] == ["opened", "escalated", "resolved", "updated"]
    assert world.messages[-1].escalated_minutes == 5
    assert world.attend(after(30)) == []


def test_an_incident_of_which_nothing_is_heard_ends_and_says_why() -> None:
    world = World()
    world.take(verdict(readings("b")))
    assert world.lose(after(24 * 60)) == ["resolved"]
    assert "does not show that it is well" in world.messages[-1].why


def test_an_incident_resolved_by_hand_opens_again_if_its_device_still_breaches() -> None:
    world = World()
    world.take(verdict(readings("b")))
    resolve_incident(world.incident, "by_hand", after(3), after(3))
    for member in world.members.values():
        member.cleared_at = after(3)
    assert world.attend(after(4)) == ["resolved"]
    assert world.take(verdict(readings("b", 5))) == ["updated"]
    assert world.incident.state == "open"


def told(world: World) -> list[tuple[object, ...]]:
    return [
        (each.incident_id, each.sequence, each.happening, each.read_at, each.value, each.why) for each in world.messages
    ]


@given(
    states=st.text("b.-", min_size=1, max_size=40),
    batches=st.lists(st.tuples(st.integers(1, 16), st.integers(0, 20), st.integers(0, 40)), min_size=1, max_size=40),
    rule=st.tuples(st.integers(1, 3), st.integers(0, 2)),
)
def test_splits_overlaps_and_redeliveries_make_the_same_incidents_and_messages(
    states: str, batches: list[tuple[int, int, int]], rule: tuple[int, int]
) -> None:
    changed: dict[str, Any] = {"breaches": rule[0], "of": rule[0] + rule[1]}
    judged, now = readings(states), after(len(states))
    plain, other = World(), World()
    for one in judged:
        plain.take(verdict([one], **changed), now=now)
    done = 0
    for length, overlap, again in batches * len(judged):
        stop = min(done + length, len(judged))
        # A batch begins before its turn, and an older one is delivered once more.
        other.take(verdict(judged[max(0, done - overlap) : stop], **changed), now=now)
        if judged[again:stop]:
            other.take(verdict(judged[again:stop], **changed), now=now)
        done = stop
    assert told(other) == told(plain)
    assert {each.incident_id: each.state for each in other.incidents.values()} == {
        each.incident_id: each.state for each in plain.incidents.values()
    }


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.text("b.", min_size=1, max_size=3), st.booleans(), st.integers(0, 20)),
        max_size=40,
    )
)
def test_at_most_so_many_messages_an_hour_without_gaps_and_no_state_told_twice(
    steps: Iterable[tuple[int, str, bool, int]],
) -> None:
    world, now = World(steps=after_each(5, 30)), START
    positions: Counter[int] = Counter()
    for device, states, attend, minutes in steps:
        now += minutes * MINUTE
        judged = [msgspec.structs.replace(one, at=now) for one in readings(states, positions[device])]
        positions[device] += len(states)
        world.take(verdict(judged, f"device-{device}", received_at=now), now=now)
        if attend:
            world.attend(now)
    for incident_id, incident in world.incidents.items():
        mine = [each for each in world.messages if each.incident_id == incident_id]
        assert [each.sequence for each in mine] == list(range(1, len(mine) + 1))
        most = 3 if incident.devices == 1 else 5
        loud = [each for each in mine if each.happening != "escalated"]
        assert all(sum(timedelta(0) <= each.at - one.at < HOUR for each in loud) <= most for one in loud)
        assert len(mine) - len(loud) <= 2
        ends = [each.happening == "resolved" for each in mine]
        assert not any(one and other for one, other in itertools.pairwise(ends))
        open_ones = [each for each in world.members.values() if each.incident_id == incident_id and not each.cleared_at]
        assert incident.open_devices == len(open_ones)
        assert (incident.state == "open") == bool(open_ones)


def test_a_reading_names_its_incident() -> None:
    def opened_by(one: Judged, device: str = "device-1") -> str:
        world = World()
        world.take(verdict([one], device))
        return world.incident.incident_id

    first = opened_by(reading(5, "breach"))
    assert opened_by(reading(5, "breach")) == first
    assert first not in (opened_by(reading(6, "breach")), opened_by(reading(5, "breach"), "device-2"))


def test_a_device_joins_an_incident_with_the_event_that_fires_and_the_id_of_its_request() -> None:
    judged = [msgspec.structs.replace(one, correlation_id=f"c-{one.position}") for one in readings("bbb")]
    world = World()
    world.take(verdict(judged, breaches=2, of=3, correlation_id="c-2"))
    # The second breach makes it fire; the third one changes nothing.
    incident_id, joined_at = world.incident.incident_id, START + MINUTE
    assert [msgspec.structs.astuple(each) for each in world.causes] == [
        (incident_id, "device-1", "event-1", "c-1", joined_at)
    ]
    assert (world.incident.event_id, world.incident.correlation_id) == ("event-1", "c-1")
    assert world.messages[0].correlation_id == "c-1"


def test_of_an_older_release_of_detect_the_id_is_that_of_the_whole_verdict() -> None:
    world = World()
    world.take(verdict(readings("b"), correlation_id="c-old"))
    assert [each.correlation_id for each in world.causes] == [world.incident.correlation_id] == ["c-old"]


def test_silence_is_caused_by_no_event() -> None:
    world = World()
    world.take(verdict([msgspec.structs.replace(reading(0, "breach"), event_id=None)], correlation_id=""))
    assert (world.causes, world.incident.event_id) == ([], None)
