"""A run of probe: post an event, and ask for it until it is readable, or for so long."""

import time
import uuid
from collections.abc import Callable
from datetime import datetime

import msgspec
from aws_lambda_powertools import Logger

from sluice.core.errors import Retryable
from sluice.core.metrics import PROBE_READABLE, PROBES_UNACCEPTED, PROBES_UNREADABLE
from sluice.core.probe.event import READ_ROUTE, ROUTE, ProbeEvent, is_accepted, is_readable, make_event
from sluice.core.probe.keys import ProbeKeys
from sluice.edge.correlation import use_correlation_id
from sluice.edge.metrics import record
from sluice.edge.probe.api_client import Answered, ApiClient
from sluice.edge.probe.keyring import UNAUTHORIZED, Keyring

logger = Logger()

PAUSE_SECONDS = 0.5
"""Between two questions; the metric is as fine as this."""


class Probed(msgspec.Struct, frozen=True):
    """What came of a run."""

    event_id: str
    accepted: bool
    readable: bool
    seconds: float | None = None
    """From the acceptance until the event was readable, or until the run gave up."""


class Probing(msgspec.Struct, frozen=True):
    """The work of probe."""

    api: ApiClient
    keyring: Keyring
    patience: float
    """For how many seconds a run asks for its event."""
    seconds: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    def run(self, event_id: uuid.UUID, now: datetime) -> Probed:
        """Post an event, wait until it is readable, and record what came of it."""
        event = make_event(event_id, now)
        with use_correlation_id(event.correlation_id):
            probed = self._probe(event, now)
        record(PROBES_UNACCEPTED, not probed.accepted)
        if probed.seconds is not None:
            record(PROBE_READABLE, probed.seconds)
            record(PROBES_UNREADABLE, not probed.readable)
        return probed

    def _probe(self, event: ProbeEvent, now: datetime) -> Probed:
        try:
            keys = self.keyring.find(now)
            posted = self.api.post(ROUTE, event.write(), keys.device, event.correlation_id)
            if not is_accepted(posted.status, posted.body):
                logger.warning("an event is not accepted", status=posted.status, answer=_show(posted))
                if posted.status == UNAUTHORIZED:
                    self.keyring.replace_refused_keys(now)
                return Probed(event.event_id, accepted=False, readable=False)
        except Retryable as error:
            logger.warning("an event cannot be posted", reason=str(error))
            return Probed(event.event_id, accepted=False, readable=False)
        return self._wait(event, keys, now)

    def _wait(self, event: ProbeEvent, keys: ProbeKeys, now: datetime) -> Probed:
        began = self.seconds()
        last = ""
        replaced = False
        while True:
            try:
                found = self.api.ask(READ_ROUTE, keys.reader, event.correlation_id)
                if is_readable(event, found.status, found.body):
                    return Probed(event.event_id, accepted=True, readable=True, seconds=self.seconds() - began)
                last = f"{found.status} {_show(found)}"
                if found.status == UNAUTHORIZED and not replaced:
                    # Once a run: each try may make keys, and the run asks on with those it has.
                    replaced = True
                    self.keyring.replace_refused_keys(now)
                    keys = self.keyring.find(now)
            except Retryable as error:
                last = str(error)
            if self.seconds() - began >= self.patience:
                logger.warning("an event is not readable", seconds=self.patience, last=last)
                return Probed(event.event_id, accepted=True, readable=False, seconds=self.seconds() - began)
            self.sleep(PAUSE_SECONDS)


def _show(answer: Answered) -> str:
    return answer.body[:200].decode(errors="replace")
