"""What a canary's ledger and what is read back from outside must agree on."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from cli.simulation.client import Ledger, digest

SHOWN = 20
"""How many faults are shown: an outage has one for every event."""


@dataclass(frozen=True)
class Row:
    """A row of the raw table as a query shows it."""

    partition: int
    offset: int
    event: str


def find_faults(ledger: Ledger, rows: Iterable[Row], letters: Iterable[str]) -> list[str]:
    """List what was accepted and is missing, rejected and not kept, or there and never sent; all of one canary."""
    contents: dict[tuple[int, int], set[str]] = {}
    for row in rows:
        contents.setdefault((row.partition, row.offset), set()).add(digest(row.event.encode()))
    stored = Counter(sha256 for held in contents.values() for sha256 in held)
    buried = {digest(letter.encode()) for letter in letters}
    return [
        *(
            f"two contents at partition {place[0]} offset {place[1]}"
            for place, held in contents.items()
            if len(held) > 1
        ),
        *_compare(ledger, stored),
        *(f"rejected but stored: {ledger.name(one)}" for one in sorted(ledger.rejected & stored.keys())),
        *(f"rejected but in no dead letter: {ledger.name(one)}" for one in sorted(ledger.rejected - buried)),
    ]


def _compare(ledger: Ledger, stored: Counter[str]) -> Iterator[str]:
    for sha256 in sorted(ledger.accepted.keys() | stored.keys() - ledger.rejected):
        least, times = ledger.accepted[sha256], stored[sha256]
        if not least <= times <= least + ledger.unknown[sha256]:
            said = f"accepted {least} and unknown {ledger.unknown[sha256]} times"
            yield f"{said}, stored {times} times: {ledger.name(sha256)}"


def find_unsettled(ledger: Ledger) -> list[str]:
    """Count the events that were neither accepted nor rejected, by the last answer to each: devices cannot deliver."""
    last = {attempt.sha256: attempt.answer for attempt in ledger.attempts}
    taken = ledger.accepted.keys() | ledger.rejected
    left = Counter(answer for sha256, answer in last.items() if sha256 not in taken)
    return [f"{count:,} events were not taken; the last answer was: {answer}" for answer, count in sorted(left.items())]


def find_miscounts(expected: Mapping[str, int], counted: Mapping[str, int]) -> list[str]:
    """List the devices whose numbers hold more or fewer events than were accepted."""
    return [
        f"{device}: {expected.get(device, 0)} events were accepted, its minutes count {counted.get(device, 0)}"
        for device in sorted(expected.keys() | counted.keys())
        if expected.get(device, 0) != counted.get(device, 0)
    ]


def shorten(faults: Sequence[str]) -> list[str]:
    """Leave the first faults, and say how many there are besides."""
    more = len(faults) - SHOWN
    return [*faults[:SHOWN], *([f"and {more:,} faults more"] if more > 0 else [])]
