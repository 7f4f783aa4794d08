"""A fake cache for what consumers keep there, and the rules that it and a real one must follow."""

import math
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, cast

import pytest

from sluice.core.failures.attempts import by_partition
from sluice.core.failures.quarantine import QuarantineExceededError
from sluice.core.records import KafkaRecord, Origin
from sluice.edge.cache import Cache, CacheAwayError, Script
from sluice.edge.failures import attempts as counting
from sluice.edge.failures import holding
from sluice.edge.failures import quarantine as allowing
from sluice.edge.failures.attempts import Attempts
from sluice.edge.failures.holding import Holds
from sluice.edge.failures.quarantine import ExtraAllowance, Quarantine, SharedAllowance
from tests.support.samples import NOW

A, B = ("raw-events", 4), ("raw-events", 7)
STATE = "attempt:{archive}:raw-events:4"


class PlayedCache:
    """A cache in memory that can be away, and counts how often it was asked."""

    def __init__(self) -> None:
        self.away = False
        self.trips = 0
        self.hashes: defaultdict[str, dict[str, str]] = defaultdict(dict)
        self.values: dict[str, bytes] = {}

    def as_cache(self) -> Cache:
        return cast("Cache", self)

    def get(self, name: str) -> bytes | None:
        self._ask()
        return self.values.get(name)

    def run(self, script: Script, names: Sequence[str], arguments: Sequence[float]) -> Any:
        self._ask()
        played = {
            counting._BEGIN.sha1: self._begin,
            counting._MARK.sha1: self._mark,
            counting._END.sha1: self._end,
            allowing._SPEND.sha1: self._spend,
            allowing._SPEND_EXTRA.sha1: self._spend_extra,
            holding._NOTE.sha1: self._note,
        }
        return played[script.sha1](names, arguments)

    def together(self, queue: Callable[[Any], object]) -> list[Any]:
        self._ask()
        queue(self)
        return []

    def put(self, name: str, value: bytes, seconds: int) -> None:
        del seconds
        self._ask()
        self.values[name] = value

    def hset(self, name: str, mapping: dict[str, str]) -> None:
        self.hashes[name] |= mapping

    def delete(self, name: str) -> None:
        self.hashes.pop(name, None)

    def _ask(self) -> None:
        if self.away:
            raise CacheAwayError("away")
        self.trips += 1

    def _begin(self, names: Sequence[str], arguments: Sequence[float]) -> list[list[bytes]]:
        _, *spans = (str(argument) for argument in arguments)
        states = []
        for name, first, last in zip(names, spans[::2], spans[1::2], strict=True):
            state = self.hashes[name]
            if self.values.pop(name, None) or not _is_begun(state, first):
                state.clear()
                state |= {"first": first, "until": last, "number": "0"}
            state["number"] = str(int(state["number"]) + 1)
            if (tried := state.pop("trying", None)) is not None:
                state[f"died:{tried}"] = str(int(state.get(f"died:{tried}", 0)) + 1)
            states.append([each.encode() for field in state.items() for each in field])
        return states

    def _mark(self, names: Sequence[str], arguments: Sequence[float]) -> int:
        if "until" in self.hashes.get(names[0], {}):
            self.hashes[names[0]]["trying"] = str(arguments[1])
        return 1

    def _end(self, names: Sequence[str], arguments: Sequence[float]) -> int:
        number, *offsets = (str(argument) for argument in arguments)
        for name, offset in zip(names, offsets, strict=True):
            state = self.hashes.pop(name, {})
            if offset != "-1" and "until" in state:
                if (tried := state.pop("trying", None)) is not None:
                    state.pop(f"died:{tried}", None)
                self.hashes[name] = state | {"first": offset, "number": number}
        return 1

    def _spend_extra(self, names: Sequence[str], arguments: Sequence[float]) -> int:
        kept = self.values.get(names[0], b"0")
        spent = min(int(kept), int(arguments[0])) if kept.isdigit() else 0
        self.values[names[0]] = b"%d" % (int(kept) - spent)
        return spent

    def _spend(self, names: Sequence[str], arguments: Sequence[float]) -> int:
        start, most, earned, poison, _ = arguments
        try:
            left = float(self.values.get(names[0], start))
        except ValueError:
            left = math.nan
        left = min(most, (left if math.isfinite(left) else start) + earned) - poison
        self.values[names[0]] = str(left).encode()
        return 1

    def _note(self, names: Sequence[str], arguments: Sequence[float]) -> list[bytes]:
        now, _ = arguments
        for name in names:
            try:
                first = float(self.values.get(name, b""))
            except ValueError:
                first = math.nan
            if not 0 < first <= now:
                self.values[name] = str(now).encode()
        return [self.values[name] for name in names]


def _is_begun(state: dict[str, str], first: str) -> bool:
    named = all(re.fullmatch("[a-z]+|died:[0-9]+", name) for name in state)
    counted = all(re.fullmatch("[0-9]{1,18}", value) for value in state.values())
    return named and counted and state.get("first") == first and {"until", "number"} <= set(state)


def records(*offsets: int, partition: int = 4) -> list[KafkaRecord]:
    """Records of a partition. Only their offsets matter."""
    return [KafkaRecord(Origin("raw-events", partition, offset), b"{}", {}) for offset in offsets]


def replace(cache: Cache, state: dict[str, str]) -> None:
    """Replace a partition's state; None is a lost one."""

    def queue(pipeline: Any) -> None:
        pipeline.delete(STATE)
        if state:
            pipeline.hset(STATE, mapping=state)

    cache.together(queue)


class AttemptsContract:
    """The rules of counting attempts, for every store of the counts."""

    @pytest.fixture
    def cache(self) -> Cache:
        raise NotImplementedError

    @pytest.fixture
    def attempts(self, cache: Cache) -> Attempts:
        return Attempts(cache, "archive")

    def test_attempts_are_counted_by_partition_and_first_offset(self, attempts: Attempts) -> None:
        batch = by_partition([*records(100, 101, 102), *records(7, partition=7)])
        for number in (1, 2, 3):
            begun = attempts.begin(batch)
            assert [begun[place].number for place in (A, B)] == [number, number]
            assert [begun[place].singly for place in (A, B)] == [number >= 3] * 2
        begun = attempts.begin(by_partition([*records(100), *records(8, partition=7)]))
        assert (begun[A].number, begun[B].number) == (4, 1)

    def test_another_consumers_attempts_are_its_own(self, attempts: Attempts, cache: Cache) -> None:
        batch = by_partition(records(100))
        attempts.begin(batch)
        assert Attempts(cache, "aggregate").begin(batch)[A].number == 1

    def test_an_attempt_that_reported_its_end_is_forgotten(self, attempts: Attempts) -> None:
        batch = by_partition([*records(100), *records(7, partition=7)])
        for _ in range(3):
            attempts.begin(batch)
        attempts.end({A: None})
        begun = attempts.begin(batch)
        assert (begun[A].number, begun[B].number) == (1, 4)

    def test_what_was_being_tried_when_the_batch_begins_again_has_killed(self, attempts: Attempts) -> None:
        batch = by_partition(records(100, 101, 102))
        attempts.begin(batch)
        for deaths in (1, 2):
            attempts.mark(Origin("raw-events", 4, 100))
            attempts.mark(Origin("raw-events", 4, 101))
            assert attempts.begin(batch)[A].deaths == {101: deaths}
        # Nothing was being tried: no record is to blame for any death.
        assert attempts.begin(batch)[A].deaths == {101: 2}

    def test_deaths_with_an_answer_between_them_do_not_add_up(self, attempts: Attempts) -> None:
        batch = by_partition(records(100, 101, 102))
        attempts.begin(batch)
        for _ in range(2):
            attempts.mark(Origin("raw-events", 4, 100))
            assert attempts.begin(batch)[A].deaths == {100: 1}
            attempts.mark(Origin("raw-events", 4, 100))
            attempts.end({A: 100})
            assert attempts.begin(batch)[A].deaths == {}

    def test_an_answer_takes_no_death_from_a_record_that_was_not_tried(self, attempts: Attempts) -> None:
        batch = by_partition(records(100, 101, 102))
        attempts.begin(batch)
        for _ in range(2):
            attempts.mark(Origin("raw-events", 4, 101))
            attempts.begin(batch)
        attempts.mark(Origin("raw-events", 4, 100))
        attempts.end({A: 100})
        assert attempts.begin(batch)[A].deaths == {101: 2}
        attempts.end({A: 100})
        assert attempts.begin(batch)[A].deaths == {101: 2}

    def test_what_is_left_continues_one_by_one_and_no_further_than_the_batch_went(self, attempts: Attempts) -> None:
        attempts.begin(by_partition(records(100, 101, 102)))
        attempts.mark(Origin("raw-events", 4, 101))
        attempts.end({A: 101})
        begun = attempts.begin(by_partition(records(101, 102, 103, 104)))[A]
        assert (begun.number, begun.singly, begun.until, begun.deaths) == (3, True, 102, {})

    def test_what_was_forgotten_meanwhile_starts_over(self, attempts: Attempts) -> None:
        attempts.end({A: 101})
        attempts.mark(Origin("raw-events", 4, 101))
        begun = attempts.begin(by_partition(records(101, 102)))[A]
        assert (begun.number, begun.until, begun.deaths) == (1, 102, {})

    def test_what_is_lost_while_its_records_go_alone_starts_over(self, attempts: Attempts, cache: Cache) -> None:
        batch = by_partition(records(100, 101, 102))
        for _ in range(3):
            attempts.begin(batch)
        for lost in (100, 101):
            replace(cache, {})
            attempts.mark(Origin("raw-events", 4, lost))
            attempts.end({A: lost})
            begun = attempts.begin(by_partition(records(lost, 102, 103)))[A]
            assert (begun.number, begun.until, begun.deaths) == (1, 103, {})

    @pytest.mark.parametrize(
        "state",
        [
            {"trying": "100"},
            {"first": "100", "number": "2"},
            {"first": "100", "until": "102"},
            {"first": "100", "until": "102", "number": "many"},
            {"first": "100", "until": "102", "number": "9" * 19},
            {"first": "100", "until": "1.5", "number": "2"},
            {"first": "100", "until": "102", "number": "2", "trying": ""},
            {"first": "100", "until": "102", "number": "2", "died:100": "-1"},
            {"first": "100", "until": "102", "number": "2", "died:it": "1"},
            {"first": "100", "until": "102", "number": "2", "\u00e9": "1"},
        ],
    )
    def test_a_state_that_cannot_be_read_starts_over_and_its_neighbours_are_counted_on(
        self, attempts: Attempts, cache: Cache, state: dict[str, str]
    ) -> None:
        batch = by_partition([*records(100, 101, 102), *records(7, partition=7)])
        attempts.begin(batch)
        replace(cache, state)
        for number in (1, 2):
            begun = attempts.begin(batch)
            assert (begun[A].number, begun[A].until, begun[A].deaths) == (number, 102, {})
            assert begun[B].number == number + 1

    def test_what_is_no_state_at_all_starts_over(self, attempts: Attempts, cache: Cache) -> None:
        cache.put(STATE, b"no state", 60)
        for number in (1, 2):
            assert attempts.begin(by_partition(records(100)))[A].number == number

    def test_what_is_run_again_has_attempts_of_its_own(self, attempts: Attempts) -> None:
        delivered, hole, other = by_partition(records(100)), by_partition(records(7, 8)), by_partition(records(20))
        for number in (1, 2, 3):
            assert attempts.of_rerun(None).begin(delivered)[A].number == number
            assert attempts.of_rerun(7).begin(hole)[A].number == number
            assert attempts.of_rerun(20).begin(other)[A].number == number
        attempts.of_rerun(7).mark(Origin("raw-events", 4, 8))
        attempts.of_rerun(20).end({A: None})
        assert attempts.begin(delivered)[A].deaths == {}
        assert attempts.of_rerun(7).begin(hole)[A].deaths == {8: 1}

    def test_an_allowance_is_spent_by_all_processes_together_and_earned_by_good_records(self, cache: Cache) -> None:
        first, second = (SharedAllowance(cache, "archive", processes=2) for _ in range(2))
        first.check(100, 0, NOW)
        first.spend(60, 0, NOW)
        second.check(40, 0, NOW)
        second.spend(40, 0, NOW)
        for process in (first, second):
            with pytest.raises(QuarantineExceededError):
                process.check(1, 0, NOW)
            # Ten good ones earn one, also those of the same batch.
            process.check(1, 10, NOW)
        first.spend(0, 100, NOW)
        first.check(10, 0, NOW)
        first.spend(10, 0, NOW)
        with pytest.raises(QuarantineExceededError):
            first.check(1, 0, NOW)
        SharedAllowance(cache, "aggregate", processes=2).check(100, 0, NOW)

    def test_an_allowance_has_a_limit_however_much_is_good(self, cache: Cache) -> None:
        allowance = SharedAllowance(cache, "archive", processes=1)
        allowance.spend(0, 10**6, NOW)
        allowance.check(1000, 0, NOW)
        with pytest.raises(QuarantineExceededError):
            allowance.check(1001, 10**6, NOW)

    def test_an_admin_allows_a_halted_consumer_as_many_more_letters_as_he_says(self, cache: Cache) -> None:
        halted, other = (
            Quarantine(cast("Any", None), "dead-letter", name, SharedAllowance(cache, name, processes=2))
            for name in ("archive", "aggregate")
        )
        with pytest.raises(QuarantineExceededError):
            halted.check(300, 1200, NOW)
        ExtraAllowance(cache, "archive").grant(310)
        # All of a batch or none of it.
        with pytest.raises(QuarantineExceededError):
            halted.check(311, 1200, NOW)
        halted.check(300, 1200, NOW)
        halted.spend(300, 1200, NOW)
        with pytest.raises(QuarantineExceededError):
            halted.check(150, 100, NOW)
        with pytest.raises(QuarantineExceededError):
            other.check(300, 1200, NOW)
        # They are not taken from what the consumer may put aside by itself, nor by a batch that does not need them.
        halted.check(20, 100, NOW)
        halted.spend(20, 100, NOW)
        halted.check(10, 0, NOW)
        halted.spend(10, 0, NOW)
        ExtraAllowance(cache, "archive").grant(15)
        halted.check(15, 0, NOW)
        halted.spend(15, 0, NOW)
        with pytest.raises(QuarantineExceededError):
            halted.check(15, 0, NOW)

    @pytest.mark.parametrize("kept", [b"no number", b"", b"nan", b"-inf", b"inf", b"1e400"])
    def test_what_is_no_allowance_is_none_until_it_starts_over(self, cache: Cache, kept: bytes) -> None:
        allowance = SharedAllowance(cache, "archive", processes=4)
        cache.put("quarantine:archive", kept, 60)
        allowance.check(25, 0, NOW)
        with pytest.raises(QuarantineExceededError):
            allowance.check(26, 0, NOW)
        allowance.spend(25, 0, NOW)
        allowance.check(75, 0, NOW)
        with pytest.raises(QuarantineExceededError):
            allowance.check(76, 0, NOW)

    def test_a_version_is_held_from_when_any_process_first_saw_it(self, cache: Cache) -> None:
        first, second = (Holds(cache, "archive", seconds=600) for _ in range(2))
        assert first.find_over({"envelope 2"}, NOW) == set()
        assert second.find_over({"envelope 2", "telemetry 4"}, NOW + timedelta(seconds=599)) == set()
        assert second.find_over({"envelope 2", "telemetry 4"}, NOW + timedelta(seconds=600)) == {"envelope 2"}
        # Another consumer may run another release.
        assert Holds(cache, "aggregate", seconds=600).find_over({"envelope 2"}, NOW + timedelta(seconds=600)) == set()

    @pytest.mark.parametrize("kept", [b"no moment", b"", b"0x10", b"nan", b"-1", b"inf", b"9999999999999"])
    def test_what_is_no_moment_of_the_past_begins_a_hold(self, cache: Cache, kept: bytes) -> None:
        cache.put("ahead:{archive}:envelope 2", kept, 60)
        holds = Holds(cache, "archive", seconds=600)
        assert holds.find_over({"envelope 2"}, NOW) == set()
        assert holds.find_over({"envelope 2"}, NOW + timedelta(seconds=600)) == {"envelope 2"}
