"""Site gateways and single devices posting at a rate, with the manners a good client has."""

import asyncio
import itertools
import json
import random
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import aiohttp

from cli.simulation.devices import ACTIVITY, EVENTS, READINGS, Fleet, Sent

IN_FLIGHT = 16
BURST_EVERY, BURST_SECONDS, BURST_FACTOR = 20.0, 4.0, 4.0
TRIES = 5


@dataclass
class Tally:
    """What was sent and what came back, for the view and the closing line."""

    requests: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=500))
    given_up: int = 0
    bursting: bool = False


class Traffic:
    """One run of a fleet against an API."""

    def __init__(self, api: str, key: str, fleet: Fleet, rate: float, seed: int) -> None:
        self.tally = Tally()
        self._api = api
        self._headers = {"x-api-key": key, "content-type": "application/json"}
        self._fleet = fleet
        self._rate = rate
        self._random = random.Random(seed)  # noqa: S311 -- a simulation wants to be repeatable
        self._slots = asyncio.Semaphore(IN_FLIGHT)

    async def run(self, seconds: float) -> None:
        """Post at the rate until the time is over, then wait for what is under way."""
        started = time.monotonic()
        timeout = aiohttp.ClientTimeout(total=35)  # longer than the gateway's own 30 s
        async with aiohttp.ClientSession(timeout=timeout) as session, asyncio.TaskGroup() as posts:
            due = started
            for batch in self._batches():
                elapsed = time.monotonic() - started
                if elapsed >= seconds:
                    break
                self.tally.bursting = elapsed % BURST_EVERY > BURST_EVERY - BURST_SECONDS
                rate = self._rate * (BURST_FACTOR if self.tally.bursting else 1)
                # Never run after lost time: a slow machine gets a lower rate, not an avalanche.
                due = max(due + len(batch) / rate, time.monotonic() - 1)
                await asyncio.sleep(max(0, due - time.monotonic()))
                await self._slots.acquire()
                posts.create_task(self._post(session, batch)).add_done_callback(lambda _: self._slots.release())

    def _batches(self) -> Iterator[list[Sent]]:
        for turn in itertools.count():
            if turn % 10 == 3:
                yield [self._fleet.event(READINGS) for _ in range(10)]
            elif turn % 10 == 6:
                yield [self._fleet.event(ACTIVITY)]
            else:
                batch = [self._fleet.event(EVENTS) for _ in range(self._random.choice((1, 5, 25, 50, 100)))]
                # What is not JSON cannot travel in an array: the whole array would not be one.
                yield from ([one] for one in batch if one.kind == "malformed")
                yield [one for one in batch if one.kind != "malformed"]

    async def _post(self, session: aiohttp.ClientSession, batch: list[Sent]) -> None:
        if not batch:
            return
        self.tally.kinds.update(sent.kind for sent in batch)
        for attempt in range(TRIES):
            body = batch[0].body if len(batch) == 1 else b"[" + b",".join(sent.body for sent in batch) + b"]"
            began = time.monotonic()
            try:
                async with session.post(self._api + batch[0].route, data=body, headers=self._headers) as answer:
                    document = json.loads(await answer.read())
                    self.tally.requests[str(answer.status)] += 1
                    wait = float(answer.headers.get("retry-after", "1"))
            except (aiohttp.ClientError, TimeoutError, json.JSONDecodeError) as error:
                # Unknown: it may be stored, and sending it again is safe.
                self.tally.requests[type(error).__name__] += 1
                document, wait = {}, 1.0
            self.tally.latencies.append(time.monotonic() - began)
            batch = self._settle(batch, document)
            if not batch:
                return
            await asyncio.sleep(wait * 2**attempt * (0.5 + self._random.random()))
        self.tally.given_up += len(batch)

    def _settle(self, batch: list[Sent], document: dict[str, object]) -> list[Sent]:
        """Count every answer; what is left is to be sent again."""
        results = document.get("results")
        if not isinstance(results, list):
            code = document.get("code")
            if code is None or document.get("status") == 429:
                return batch
            self.tally.statuses["refused"] += len(batch)
            self.tally.errors[str(code)] += len(batch)
            return []
        again = []
        for result in results:
            self.tally.statuses[result["status"]] += 1
            if result["status"] == "rejected":
                self.tally.errors[result["error"]["code"]] += 1
            elif result["status"] == "retry":
                again.append(batch[result["index"]])
        return again
