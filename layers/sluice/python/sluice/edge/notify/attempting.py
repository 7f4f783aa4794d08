"""One attempt to notify a destination, from its secret to its answer."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sluice.core.alerts.messages import AlertMessage
from sluice.core.errors import Poison, Retryable
from sluice.core.notify.addresses import ForbiddenError, read_place
from sluice.core.notify.destinations import Destination
from sluice.core.notify.outcomes import OF_THE_SECRET, Result, hide, judge
from sluice.core.notify.requests import write_request
from sluice.core.notify.secrets import Secret
from sluice.edge.notify.posting import Poster
from sluice.edge.notify.secrets import Secrets


@dataclass(frozen=True)
class Attempting:
    """What an attempt needs."""

    secrets: Secrets
    poster: Poster
    loopback: frozenset[str] = frozenset()
    clock: Callable[[], float] = time.monotonic

    def attempt(self, message: AlertMessage, destination: Destination, now: datetime) -> Result:
        """Notify a destination, and say what came of it.

        A secret that it refuses is read again: if someone has rotated it, the next attempt takes the new one.
        """
        try:
            result = self._post(message, destination, self.secrets.find(destination), now)
            if result.status in OF_THE_SECRET and self.secrets.is_rotated(destination):
                return Result("failed", f"{result.detail}. The secret has changed since", result.status)
        except Poison as error:
            return Result("refused", str(error))
        except Retryable as error:
            return Result("failed", str(error))
        return result

    def _post(self, message: AlertMessage, destination: Destination, secret: Secret, now: datetime) -> Result:
        request = write_request(message, destination.kind, secret, now)
        try:
            place = read_place(secret.url, self.loopback)
            result = judge(self.poster.post(place, request), place.host, now)
        except ForbiddenError as error:
            result = Result("refused", str(error))
        except Retryable as error:
            result = Result("failed", str(error))
        return Result(result.outcome, hide(result.detail, secret.hidden), result.status, result.retry_after)
