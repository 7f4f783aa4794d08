"""Groups of a fleet's dead letters, from redrive, which reads the letters in S3.

For an answer redrive reads the letters of all fleets. So an answer is kept for some minutes, and a question is sent
only some seconds after the one before, and one for the same fleet only a minute after: a reader who varies the days
leaves the others their turns. Where no question can be sent or answered, the last known groups are shown.
"""

from datetime import datetime, timedelta
from functools import partial

import msgspec

from sluice.core.api.quotas import BURST_SECONDS, Quota
from sluice.core.errors import Refusal, Retryable
from sluice.core.query.letter_groups import LetterDays, LetterGroups
from sluice.edge.api.quotas import Quotas
from sluice.edge.cache import Cache
from sluice.edge.correlation import current_id
from sluice.edge.invoked import InvokedFunction
from sluice.edge.read_through import Ages, CachedValue, ReadThrough

MOST_KEPT = 200
LAST_KNOWN = timedelta(hours=6)
EVERY_SECONDS = 20
"""How often redrive is asked at most, for all readers together: longer than an answer takes, so that they occupy one of
its places."""
FLEET_EVERY_SECONDS = 60
"""How often redrive is asked at most for one fleet."""
_QUOTA = Quota(1 / EVERY_SECONDS, 1 / EVERY_SECONDS)
# A full bucket holds some seconds of its rate, and a charge takes it into debt for the others.
_FLEET_RATE = 1 / (FLEET_EVERY_SECONDS + BURST_SECONDS)
_FLEET_QUOTA = Quota(_FLEET_RATE, _FLEET_RATE)
# No fleet and no key has names like these.
_EVERYONE = "letters/everyone"
_ONE_FLEET = "letters/fleet/"


class _BusyError(Retryable):
    """redrive was asked for a reader a moment ago."""


class _Answered(msgspec.Struct, frozen=True):
    result: LetterGroups


class FleetLetters:
    """Finds groups of dead letters."""

    def __init__(self, function: InvokedFunction, quotas: Quotas, cache: Cache, believed: timedelta) -> None:
        self._function = function
        self._quotas = quotas
        self._known = ReadThrough(
            "letters",
            CachedValue[LetterGroups],
            cache,
            Ages(believed, believed, most=believed, last_known=LAST_KNOWN),
            MOST_KEPT,
            is_absence=lambda _: False,
        )

    def groups(self, asked: LetterDays, now: datetime) -> tuple[LetterGroups, datetime]:
        """Return the groups of a fleet's letters, and when they were read."""
        name = f"{asked.fleet_id}:{asked.first}:{asked.last}"
        try:
            found = self._known.find(name, partial(self._ask, asked, now), now)
        except _BusyError:
            detail = (
                f"Dead letters are read once in {EVERY_SECONDS} s for all readers together, and once in"
                f" {FLEET_EVERY_SECONDS} s for one fleet; try again."
            )
            raise Refusal(429, "quota_letters", detail) from None
        except Retryable as error:
            detail = "The dead letters cannot be read right now; try again."
            raise Refusal(503, "dead_letters_unavailable", detail) from error
        return found.value, found.read_at

    def _ask(self, asked: LetterDays, now: datetime) -> LetterGroups:
        fleet = f"{_ONE_FLEET}{asked.fleet_id}"
        # Whether the fleet may ask comes first: if it may not, it takes no turn of the others. It is charged only for a
        # turn that it got: if another fleet was first, it need not wait a minute.
        if self._quotas.exceeded(fleet, _FLEET_QUOTA, 0, now) or self._quotas.exceeded(_EVERYONE, _QUOTA, 1, now):
            raise _BusyError
        self._quotas.charge_rejects(fleet, _FLEET_QUOTA, 1, now)
        return self._function.ask({**asked.write_question(), "correlation_id": current_id()}, _Answered).result
