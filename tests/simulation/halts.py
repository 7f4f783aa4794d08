"""Whether a consumer halts for a reason: many bad records in a batch, or many letters before."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tests.simulation.broker import LogRecord
from tests.support.stores import RAW_EVENTS

FEW_LETTERS = 20
"""Fewer than a process's share of the allowance while the cache is away."""


class Halts:
    """Knows the letters of each consumer that count towards its allowance."""

    def __init__(self, log: Sequence[Sequence[LogRecord]], wrong: dict[str, None]) -> None:
        self._log = log
        self._wrong = wrong
        self._letters: Counter[str] = Counter()

    def note_letter(self, consumer: str) -> None:
        """Count a letter of a record that is bad, or that ended a process."""
        self._letters[consumer] += 1

    def note(self, consumer: str, event: Mapping[str, Any]) -> None:
        """Look at the batch with which a consumer halts. Records without headers are what other systems wrote."""
        if self._letters[consumer] >= FEW_LETTERS:
            return
        given = [one for some in event["records"].values() for one in some if one["topic"] == RAW_EVENTS]
        records = [self._log[one["partition"]][one["offset"]] for one in given]
        if records and all(record.headers for record in records):
            self._wrong[f"{consumer} halts, and nothing in its batch of {len(records)} is poison"] = None
