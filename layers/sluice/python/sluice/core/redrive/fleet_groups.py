"""The groups of one fleet's dead letters, for its readers: each with what its first letter breaks, and some letters."""

from collections.abc import Mapping
from typing import Any

import msgspec

from sluice.core.failures.letters import Letter
from sluice.core.ingest.judge import Rules
from sluice.core.query.letter_groups import LetterExample, LetterGroup, LetterGroups, LetterSample
from sluice.core.redrive.explaining import explain
from sluice.core.redrive.groups import SAMPLES, Grouping, GroupKey, Standing, key_of

MOST_GROUPS = 50
MOST_EXPLAINED = 2_000
"""How many groups are explained, in the order in which they are found: a fleet may invent a group for each event."""


class _Shown(msgspec.Struct):
    example: LetterExample | None
    samples: dict[str, LetterSample]


class FleetGroups:
    """The letters of one fleet."""

    def __init__(self, rules: Rules, home: str | None) -> None:
        self._rules = rules
        self._home = home
        self._grouping = Grouping()
        self._shown: dict[GroupKey, _Shown] = {}

    @property
    def letters(self) -> int:
        """Return how many letters there are, each once."""
        return self._grouping.letters

    def add(self, letter: Letter) -> None:
        """Add a letter."""
        self._grouping.add(letter)
        key = key_of(letter)
        shown = self._shown.get(key)
        if shown is None:
            if len(self._shown) >= MOST_EXPLAINED:
                return
            shown = self._shown[key] = _Shown(self._explain(letter), {})
        if len(shown.samples) < SAMPLES:
            shown.samples[letter.letter_id] = LetterSample(
                letter.letter_id, letter.event_id, letter.device_id, letter.failed_at
            )

    @property
    def grouping(self) -> Grouping:
        """Return the groups."""
        return self._grouping

    def describe(self, standings: Mapping[str, Standing], *, complete: bool) -> LetterGroups:
        """Describe the largest groups."""
        shown = {key.group_id: one for key, one in self._shown.items()}
        items = tuple(
            _describe(group, shown.get(group["group_id"])) for group in self._grouping.describe(standings, MOST_GROUPS)
        )
        return LetterGroups(items, len(self._grouping), self.letters, complete)

    def _explain(self, letter: Letter) -> LetterExample | None:
        told = explain(letter, self._rules, self._home)
        if told["passes_now"]:
            return LetterExample("The event as it is would be accepted by now.", None, None)
        if not told["breaches"]:
            return None
        first = told["breaches"][0]
        return LetterExample(first["message"], first["value"], first["passes"])


def _describe(group: dict[str, Any], shown: _Shown | None) -> LetterGroup:
    shown = shown or _Shown(None, {})
    told = {name: value for name, value in group.items() if name not in ("fleet_id", "samples")}
    return LetterGroup(**told, example=shown.example, samples=tuple(shown.samples.values()))
