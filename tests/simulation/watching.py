"""What must hold at every moment of a history, and not only at its end.

Much of what goes wrong is mended later: reconcile finds a record that a consumer skipped and has it processed again.
The end is right then, and for some minutes the event was lost. So each effect is looked at when it happens.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import psycopg

from sluice.core.messages import Message
from sluice.core.records import Origin
from tests.simulation.broker import Brokers, LogRecord
from tests.simulation.cache import CACHE
from tests.simulation.database import DATABASE
from tests.simulation.grants import Grants
from tests.simulation.halts import Halts
from tests.simulation.processes import Invocation
from tests.simulation.settings import VERSION_HOLD
from tests.simulation.witness import Witness
from tests.support.stores import DEAD_LETTERS, ENVELOPE, RAW_EVENTS

KNOWN_ENVELOPE, KNOWN_CONTRACTS = 1, 50
"""What histories write with a higher version is of a newer release."""
AHEAD, POISON, KILLER = "version_ahead", "poison_record", "killer_record"
MOST_DEATHS = 15
"""Of a delivery two, and two alone; then those of its runs again, of which the cache may have forgotten some."""
OF_A_BATCH, SHARE = 10, 0.1
"""How many records of a batch may become dead letters: so many, and this share of it."""

Place = tuple[int, int]

_COVERS = "SELECT offsets @> int8range(%s, %s) FROM coverage WHERE consumer = %s AND topic = %s AND partition = %s"
_CLOSED = "SELECT nullif(max(closed_until), '-infinity') FROM shard"
_COVERED = "SELECT partition, offsets FROM coverage WHERE consumer = 'aggregate' AND topic = 'raw-events'"
_EARLY = """
    SELECT letter_id FROM redrive_letter
    WHERE state = 'accounted' AND consumer IS NULL AND (
        SELECT count(*) FROM coverage
        WHERE consumer IN ('archive', 'aggregate') AND topic = 'raw-events'
            AND partition = kafka_partition AND offsets @> kafka_offset
    ) < 2
"""


class Watch(Witness):
    """Looks at each effect, and lists what is wrong."""

    def __init__(self, brokers: Brokers, owner: psycopg.Connection[Any], quota: float) -> None:
        self._brokers = brokers
        self._world = brokers.world
        self._owner = owner
        self.wrong: dict[str, None] = {}
        """What was wrong, each once, in the order in which it was seen."""
        self._kept: defaultdict[str, set[Place]] = defaultdict(set)
        """Records that a consumer has brought somewhere: a row in a stream, a dead letter, a failed batch."""
        self._given_up: defaultdict[str, set[Place]] = defaultdict(set)
        """Those of failed batches."""
        self._ahead: dict[Place, str] = {}
        """Records of a newer release, and what in them is new."""
        self._seen_at: dict[str, float] = {}
        """When the first record with something new was stored: all of them are held from then on."""
        self._closed_until: datetime | None = None
        self._most_samples = 0
        self._grants = Grants(quota, self.wrong)
        self._halts = Halts(brokers.topics[RAW_EVENTS], self.wrong)
        self._allowed: set[str] = set()
        self._deaths: Counter[tuple[str, Origin]] = Counter()
        self._together: Counter[tuple[str, int, int]] = Counter()
        """How many dead letters of unreadable records an invocation has written at a step."""

    def note_record(self, origin: Origin, message: Message, writer: Invocation | None) -> None:
        """Look at a record of a topic."""
        record = self._brokers.topics[origin.topic][origin.partition][origin.offset]
        if origin.topic == RAW_EVENTS:
            self._look_at_event(record)
            if writer is not None and writer.process.function.name == "ingest":
                self._grants.note(writer, self._world.timeline.passed, away=CACHE in self._world.away)
        elif origin.topic == DEAD_LETTERS and writer is not None:
            self._look_at_letter(json.loads(message.value), writer)

    def note_rows(self, records: Sequence[bytes]) -> None:
        """Look at rows: none may overtake a record that is held and that archive has not given up meanwhile.

        A cache that fails between a record's note and the end of its batch leaves the note, as the end of a process
        does. A record that is held and tried alone may so become a killer before its hold is over.
        """
        for line in b"".join(records).splitlines():
            row = json.loads(line)
            place = row["kafka_partition"], row["kafka_offset"]
            for held in self._ahead:
                is_before = held[0] == place[0] and held[1] < place[1]
                if is_before and held not in self._kept["archive"] and self._is_held(held):
                    self._say(f"offset {place[1]} of partition {place[0]} is archived before {held[1]}, which is held")
            self._kept["archive"].add(place)

    def note_given_up(self, group: str, places: Sequence[Place]) -> None:
        """Remember them."""
        self._kept[group].update(places)
        self._given_up[group].update(places)

    def note_misuse(self, what: str) -> None:
        """List it."""
        self._say(what)

    def note_outage(self, part: str) -> None:
        """Remember since when the cache is away."""
        if part == CACHE:
            self._grants.begin(self._world.timeline.passed)

    def note_death(self, origin: Origin, ended: Invocation) -> None:
        """Count the deaths at a record once nothing else fails: two of a record that is tried alone convict it."""
        consumer = ended.process.function.name
        self._deaths[consumer, origin] += self._world.faults.over
        if self._deaths[consumer, origin] > MOST_DEATHS:
            self._say(f"{consumer} ends again and again at offset {origin.offset} of partition {origin.partition}")

    def note_halt(self, halted: Invocation) -> None:
        """Look for its reason."""
        self._halts.note(halted.process.function.name, halted.event)

    def note_letters_allowed(self, consumer: str) -> None:
        """Remember it."""
        self._allowed.add(consumer)

    def note_offsets(self, group: str, topic: str, before: Mapping[int, int], after: Mapping[int, int]) -> None:
        """Look for records that a consumer's offsets pass before they are anywhere."""
        if topic != RAW_EVENTS or group not in ("archive", "aggregate"):
            return
        for partition, until in after.items():
            since = before.get(partition, 0)
            if group == "archive":
                skipped = [each for each in range(since, until) if (partition, each) not in self._kept[group]]
            else:
                given = [since, until, group, topic, partition]
                covered = until <= since or self._owner.execute(_COVERS, given).fetchone() == (True,)
                offsets = () if covered else range(since, until)
                skipped = [each for each in offsets if (partition, each) not in self._given_up[group]]
            if skipped:
                self._say(f"{group} passes records of partition {partition} that it has nowhere: {skipped[:5]}")

    def note_statement(self, function: str, *, commits: bool) -> None:
        """Look at what others see in the database now."""
        if function == "replay":
            self._count_samples()
        elif function == "roll" and commits:
            self._look_at_windows()
        elif function == "redrive" and commits:
            for (letter_id,) in self._owner.execute(_EARLY).fetchall():
                self._say(f"letter {letter_id} is accounted for before each consumer has its event")

    def _look_at_event(self, record: LogRecord) -> None:
        """Note what a newer release has written; no event is received after it was stored."""
        try:
            version, received_at, _, _, contract_version, *_ = json.loads(dict(record.headers)[ENVELOPE])
        except (KeyError, ValueError):
            return
        if version > KNOWN_ENVELOPE or contract_version > KNOWN_CONTRACTS:
            new = f"envelope {version}" if version > KNOWN_ENVELOPE else f"contract {contract_version}"
            self._ahead[record.partition, record.offset] = new
            self._seen_at.setdefault(new, self._world.timeline.passed)
        if datetime.fromisoformat(received_at) > self._world.timeline.now():
            self._say(f"offset {record.offset} of partition {record.partition} is stored before it is received")

    def _look_at_letter(self, letter: Mapping[str, Any], writer: Invocation) -> None:
        consumer = writer.process.function.name
        if letter["consumer"] != consumer or letter.get("kafka_topic") != RAW_EVENTS:
            return
        place = letter["kafka_partition"], letter["kafka_offset"]
        where = f"offset {place[1]} of partition {place[0]}"
        if "redrive" in writer.event:
            self._say(f"{consumer} writes another dead letter of {where} for a re-drive")
        if consumer == "aggregate" and DATABASE not in writer.answered:
            self._say(f"aggregate writes the dead letter of {where} before it has asked the database")
        # A record that was tried alone when its process ended twice is given up whatever it is.
        is_killer = letter["reason"] == KILLER
        if place in self._ahead and not is_killer and (letter["reason"] != AHEAD or self._is_held(place)):
            self._say(f"{consumer} gives up {where}, which is of a newer release: {letter['reason']}")
        if consumer == "archive":
            self._look_before(place)
        self._kept[consumer].add(place)
        if letter["reason"] != AHEAD:
            self._halts.note_letter(consumer)
        if letter["reason"] == POISON:
            self._count_letters(consumer, writer)

    def _look_before(self, place: Place) -> None:
        """Look for records before a letter's that archive can read and has not brought anywhere."""
        partition, offset = place
        for earlier in self._brokers.topics[RAW_EVENTS][partition][:offset]:
            if (partition, earlier.offset) not in self._kept["archive"] and _is_event(earlier):
                self._say(f"archive writes the letter of {place} before it has kept offset {earlier.offset}")

    def _count_letters(self, consumer: str, writer: Invocation) -> None:
        """Count the letters that are written of a batch: so many mean that the release is wrong."""
        if consumer in self._allowed:
            return
        size = sum(len(some) for some in writer.event["records"].values())
        self._together[consumer, writer.number, writer.steps] += 1
        letters = self._together[consumer, writer.number, writer.steps]
        if letters > OF_A_BATCH + SHARE * size:
            self._say(f"{consumer} makes dead letters of {letters} records in a batch of {size}")

    def _is_held(self, place: Place) -> bool:
        return self._world.timeline.passed < self._seen_at[self._ahead[place]] + VERSION_HOLD

    def _look_at_windows(self) -> None:
        """Look for windows that are closed although an event that was stored before their end is not counted.

        A record that this release cannot read is in no window: aggregate counts the events behind it before it writes
        its letter, and may end between the two. Nothing waits for what an event source has given up.
        """
        ((closed_until,),) = self._owner.execute(_CLOSED).fetchall()
        if closed_until is None or closed_until == self._closed_until:
            return
        self._closed_until = closed_until
        covered = dict(self._owner.execute(_COVERED).fetchall())
        for partition, log in enumerate(self._brokers.topics[RAW_EVENTS]):
            spans = [(one.lower, one.upper) for one in covered.get(partition, ())]
            missing = (one for one in log if not any(start <= one.offset < end for start, end in spans))
            given_up = self._given_up["aggregate"]
            first = next((one for one in missing if _is_event(one) and (partition, one.offset) not in given_up), None)
            stored_at = None if first is None else datetime.fromtimestamp(first.timestamp / 1000, closed_until.tzinfo)
            if stored_at is not None and stored_at + timedelta(milliseconds=1) < closed_until:
                self._say(
                    f"windows until {closed_until} are closed, and partition {partition} is read until {stored_at}"
                )

    def _count_samples(self) -> None:
        """Count what readers find while a replay is swapped in: it replaces samples, and never leaves a hole."""
        ((samples,),) = self._owner.execute("SELECT count(*) FROM sample").fetchall()
        if samples < self._most_samples:
            self._say(f"{samples} samples are left of {self._most_samples} while a replay runs")
        self._most_samples = max(samples, self._most_samples)

    def _say(self, what: str) -> None:
        self.wrong[what] = None


def _is_event(record: LogRecord) -> bool:
    """Return whether this release can read a record."""
    try:
        version, _, _, _, contract_version, *_ = json.loads(dict(record.headers)[ENVELOPE])
    except (KeyError, ValueError):
        return False
    return bool(version <= KNOWN_ENVELOPE and contract_version <= KNOWN_CONTRACTS)
