"""An alert to watch: a device overheats under a rule, and a receiver of the local stack stands in for Slack."""

import asyncio
import re
import secrets
import time
from collections.abc import Callable
from typing import Any

from cli.control.client import Client
from cli.control.problems import NotThereError
from cli.simulation.channel import Channel
from cli.simulation.devices import Fleet

RULE = "demo-hot"
LIMITS = {"kind": "above", "metric": "cpu_temp", "open": 90.0, "clear": 85.0, "breaches": 2, "of": 3}
DESTINATION = "demo-channel"
MOST_PRESSES = 100
"""The first hall, which the demo's link shows."""
CALM_SECONDS, MOST_SECONDS, AGAIN_SECONDS = 3.0, 20.0, 0.5
_INCIDENT = re.compile(r"sluice alerts show ([0-9a-f]{24})")


class OverheatingDevice:
    """One device that overheats, and what becomes of it."""

    def __init__(
        self, stack: dict[str, Any], client: Client, fleet: Fleet, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stack = stack
        self._client = client
        self._fleet = fleet
        self._clock = clock
        self._channel = Channel(stack, DESTINATION)
        # Another one in each run: an incident that ended within the hour would send few messages more.
        self._index = secrets.randbelow(min(fleet.size, MOST_PRESSES))
        self._received_before = 0
        self._hot_since: float | None = None
        self._texts: list[tuple[float, str]] = []
        """The messages that came, each with the seconds that the device was hot before."""

    @property
    def device(self) -> str:
        """The device that overheats."""
        return self._fleet.name(self._index)

    def prepare(self) -> None:
        """Make the rule and the destination, as an admin does, unless an earlier run has."""
        try:
            self._client.get("destinations", DESTINATION)
        except NotThereError:
            self._channel.create(self._client)
        rules = ("fleets", self._stack["fleet"], "rules")
        try:
            self._client.get(*rules, RULE)
        except NotThereError:
            self._client.change("POST", *rules, body={"rule_id": RULE, "severity": "critical", **LIMITS})
        self._received_before = len(self._read())

    async def run(self) -> None:
        """Let the device overheat after a calm moment, and cool down once people are notified."""
        await asyncio.sleep(CALM_SECONDS)
        self._fleet.heated = self._index
        self._hot_since = self._clock()
        while True:
            await asyncio.sleep(AGAIN_SECONDS)
            self._take(await asyncio.to_thread(self._read))

    async def settle(self) -> None:
        """Wait until people are notified, or should have been."""
        while self._hot_since is not None and not self._texts and self._clock() - self._hot_since < MOST_SECONDS:
            await asyncio.sleep(AGAIN_SECONDS)

    def say(self) -> str:
        """Say what has become of it, in one line."""
        if self._hot_since is None:
            return f"alert: {self.device} has not overheated yet"
        hot = self._clock() - self._hot_since
        if not self._texts:
            if hot < MOST_SECONDS:
                return f"alert: {self.device} has been above {LIMITS['open']:g} degC for {hot:.0f} s"
            return (
                f"alert: {self.device} is hot, and Slack was not notified within {MOST_SECONDS:.0f} s."
                f" `sluice alerts show {self._stack['fleet']}/{self.device}` says why not"
            )
        (seconds, first), *others = self._texts
        found = _INCIDENT.search(first)
        incident = found[1] if found is not None else ""
        opened = "fired again" if ", update: " in first else "opened"
        resolved = [at for at, text in others if "Resolved: " in text]
        return (
            f"alert: {self.device} overheated; incident {incident} {opened}, Slack notified after {seconds:.0f} s"
            + (f"; resolved after {resolved[0]:.0f} s" if resolved else "")
        )

    @property
    def link(self) -> str:
        """The device on the dashboard."""
        page = f"{self._stack['api']}/#fleet={self._stack['fleet']}"
        return f"{page}&device={self.device}&range=5m&metric={LIMITS['metric']}"

    def _take(self, received: list[str]) -> None:
        if self._hot_since is None:
            return
        mine = [text for text in received[self._received_before :] if self.device in text]
        seconds = self._clock() - self._hot_since
        self._texts += [(seconds, text) for text in mine[len(self._texts) :]]
        if self._texts:
            self._fleet.heated = None

    def _read(self) -> list[str]:
        """Read the messages that the channel has; one that does not answer has none that are new."""
        try:
            return self._channel.read()
        except OSError:
            return []
