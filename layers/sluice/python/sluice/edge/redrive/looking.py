"""Questions about dead letters: their groups, why one failed, and which fix would make a group pass.

Each reads the letters of a time range from S3, for as long as its caller waits. An answer that is cut says so.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from sluice.core.consumers import AGGREGATE
from sluice.core.errors import Refusal
from sluice.core.failures.letters import Letter
from sluice.core.ingest.judge import Rules
from sluice.core.ledger.groups import INGEST
from sluice.core.redrive.explaining import explain
from sluice.core.redrive.fixes import describe_fix, read_fix
from sluice.core.redrive.fleet_groups import FleetGroups
from sluice.core.redrive.groups import ACCOUNTED, REDRIVABLE, Grouping, Standing, identify, is_whole, key_of
from sluice.core.redrive.proposing import MOST_SAMPLES, Proposal, measure, propose
from sluice.core.redrive.records import can_read
from sluice.edge.database import Connection
from sluice.edge.ledger.counted_back import find_counted_back
from sluice.edge.redrive.letter_files import LetterFiles
from sluice.edge.redrive.tables import RedriveTables

MOST_LETTERS = 200_000
"""How many letters an answer looks at."""
MOST_GROUPS = 200
LONGEST = timedelta(days=31)

GroupId = Annotated[str, Meta(pattern=r"^[0-9a-f]{16}\Z")]
LetterId = Annotated[str, Meta(pattern=r"^[0-9a-f]{12,64}\Z")]


class Range(msgspec.Struct, frozen=True, rename={"since": "from", "until": "to"}):
    """When letters failed: the first moment, and the one behind the last."""

    since: datetime
    until: datetime


class AskedGroups(Range, frozen=True, forbid_unknown_fields=True):
    """The groups of a time range, perhaps of one fleet."""

    fleet_id: str | None = None


class AskedFleet(Range, frozen=True, forbid_unknown_fields=True):
    """The groups of one fleet, for its readers."""

    fleet_id: str


class AskedLetter(Range, frozen=True, forbid_unknown_fields=True):
    """One letter, by the beginning of its id."""

    letter_id: LetterId


class AskedGroup(Range, frozen=True, forbid_unknown_fields=True):
    """One group, and perhaps a fix to try on it."""

    group_id: GroupId
    fix: list[dict[str, Any]] | None = None


class Looking:
    """Answers, over one connection."""

    def __init__(self, files: LetterFiles, rules: Rules, connection: Connection, may_go_on: Callable[[], bool]) -> None:
        self._files = files
        self._rules = rules
        self._connection = connection
        self._tables = RedriveTables(connection)
        self._may_go_on = may_go_on
        self._complete = True

    def groups(self, given: object) -> dict[str, Any]:
        """List the groups of a time range, the largest first."""
        asked = _read(given, AskedGroups)
        grouping = Grouping()
        for letter in self._letters(asked):
            if asked.fleet_id in (None, letter.fleet_id):
                grouping.add(letter)
            if grouping.letters >= MOST_LETTERS:
                self._complete = False
                break
        standings = self._find_standings(grouping)
        items = grouping.describe(standings, MOST_GROUPS)
        return {
            "items": items,
            "found": len(grouping),
            "letters": grouping.letters,
            "complete": self._complete,
            "next_cursor": None,
        }

    def fleet_groups(self, given: object) -> dict[str, Any]:
        """List the groups of one fleet for its readers, each explained by one of its letters."""
        asked = _read(given, AskedFleet)
        groups = FleetGroups(self._rules, self._tables.find_home(asked.fleet_id))
        for letter in self._letters(asked):
            if letter.fleet_id == asked.fleet_id:
                groups.add(letter)
            if groups.letters >= MOST_LETTERS:
                self._complete = False
                break
        standings = self._find_standings(groups.grouping)
        described: dict[str, Any] = msgspec.to_builtins(groups.describe(standings, complete=self._complete))
        return described

    def explain(self, given: object) -> dict[str, Any]:
        """Explain the newest letter whose id begins as asked."""
        asked = _read(given, AskedLetter)
        found: dict[str, Letter] = {}
        for letter in self._letters(asked):
            if letter.letter_id.startswith(asked.letter_id):
                found[letter.letter_id] = letter
        if not found:
            cut = "" if self._complete else " Not all of them could be read in time: ask for a shorter one."
            detail = f"No dead letter of the time range has an id that begins with {asked.letter_id}.{cut}"
            raise Refusal(404, "unknown_letter", detail)
        if len(found) > 1:
            raise Refusal(400, "ambiguous_letter", f"{len(found)} ids begin with {asked.letter_id}: give more of it.")
        (letter,) = found.values()
        alone = Grouping()
        alone.add(letter)
        standing = self._find_standings(alone).get(identify(letter))
        told = {"state": standing.state, "attempts": standing.attempts} if standing else {}
        return explain(letter, self._rules, self._home(letter)) | {"state": None, "attempts": 0} | told

    def propose(self, given: object) -> dict[str, Any]:
        """Propose a fix for a group, and say which share of its letters would pass."""
        letters = self._sample(_read(given, AskedGroup))
        _check_fixable(letters[0])
        return self._describe(propose(letters, self._rules, self._home(letters[0]), self._may_go_on))

    def measure(self, given: object) -> dict[str, Any]:
        """Say which share of a group's letters would pass with a fix."""
        asked = _read(given, AskedGroup)
        fix = read_fix(asked.fix or [], self._rules.contracts.book)
        letters = self._sample(asked)
        first = letters[0]
        if fix:
            _check_fixable(first)
        if first.fleet_id is None:
            detail = "The letters of this group name no fleet: what they hold cannot be read as anyone's events."
            raise Refusal(404, "unknown_fleet", detail)
        self._tables.check_fleet(first.fleet_id, self._files.region)
        if first.consumer == INGEST:
            measured = measure(letters, fix, self._rules, self._home(first))
        else:
            measured = self._try_reading(letters)
        return self._describe(measured) | {"fleet_id": first.fleet_id, "consumer": first.consumer}

    def _find_standings(self, grouping: Grouping) -> dict[str, Standing]:
        """Find what re-drives made of letters, and which of them a replay has accounted for."""
        found = self._tables.find_standings(grouping.list_redrivable())
        back = find_counted_back(self._connection, AGGREGATE.name, dict(grouping.records.values()))
        for known_as, (place, _) in grouping.records.items():
            if place in back:
                before = found.get(known_as, Standing(ACCOUNTED, 0, 0))
                found[known_as] = msgspec.structs.replace(before, state=ACCOUNTED)
        return found

    def _sample(self, asked: AskedGroup) -> list[Letter]:
        letters: dict[str, Letter] = {}
        for letter in self._letters(asked):
            if key_of(letter).group_id == asked.group_id:
                if letter.consumer not in REDRIVABLE:
                    raise _of_other(letter)
                letters.setdefault(identify(letter), letter)
            if len(letters) >= MOST_SAMPLES:
                break
        if not letters:
            cut = "" if self._complete else " Not all letters could be read in time: ask for a shorter range."
            raise Refusal(404, "unknown_group", f"No dead letter of the time range is in group {asked.group_id}.{cut}")
        return [*letters.values()]

    def _try_reading(self, letters: list[Letter]) -> Proposal:
        """Count the records that their consumer of this release can read. One that broke it is not tried."""
        whole = [letter for letter in letters if is_whole(letter)]
        rules, now = self._rules, datetime.now(UTC)
        passed = sum(can_read(letter, rules.contracts, rules.limits, now) for letter in whole)
        return Proposal((), len(whole), passed, passed)

    def _letters(self, asked: Range) -> Iterator[Letter]:
        for letter in self._files.read_range(asked.since, asked.until, self._may_go_on):
            if letter is None:
                self._complete = False
                return
            yield letter

    def _home(self, letter: Letter) -> str | None:
        return None if letter.fleet_id is None else self._tables.find_home(letter.fleet_id)

    def _describe(self, proposal: Proposal) -> dict[str, Any]:
        return {
            "fix": describe_fix(proposal.fix),
            "tried": proposal.tried,
            "passed": proposal.passed,
            "passed_before": proposal.passed_before,
            "share": proposal.share,
            "complete": proposal.complete and self._complete,
        }


def _check_fixable(letter: Letter) -> None:
    if letter.consumer != INGEST:
        detail = (
            f"Ingest accepted these events as they are, and {letter.consumer} gave their records up. No fix applies:"
            f" re-drive the group without one, and {letter.consumer} alone gets the same bytes again."
        )
        raise Refusal(409, "nothing_to_fix", detail)


def _of_other(letter: Letter) -> Refusal:
    detail = (
        f"Letters of {letter.consumer} are not re-driven. Those of {', '.join(REDRIVABLE)} are. What recount could not"
        " read is sent again by another replay."
    )
    return Refusal(409, "redrive_of_consumer", detail)


Question = Any


def _read(given: object, kind: type[Question]) -> Question:
    try:
        asked = msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        raise Refusal(400, "invalid_body", f"{error}.") from error
    if asked.since.tzinfo is None or asked.until.tzinfo is None:
        raise Refusal(400, "invalid_range", "Write times with a zone, such as 2026-11-30T10:00:00Z.")
    since, until = asked.since.astimezone(UTC), asked.until.astimezone(UTC)
    if until <= since:
        raise Refusal(400, "range_reversed", "The range must end after it begins.")
    if until - since > LONGEST:
        raise Refusal(400, "range_too_long", f"Dead letters are looked at over {LONGEST.days} days at most.")
    return msgspec.structs.replace(asked, since=since, until=until)
