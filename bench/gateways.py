"""Site gateways that post for their own devices, as cheaply as a client can: the machine is the stack's."""

import asyncio
import itertools
import json
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import aiohttp

DEVICES, BATCH = 25, 100
TRIES, LONGEST_PAUSE = 12, 5.0
TIMEOUT = aiohttp.ClientTimeout(total=35)  # longer than the gateway's own 30 s


@dataclass
class Account:
    """What a fleet sent and the answers it got. Ids are counted up, so that a set of numbers is the whole ledger."""

    accepted: set[int] = field(default_factory=set)
    given_up: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    waits: list[tuple[float, float]] = field(default_factory=list)
    """When each batch was first posted, and the seconds until its answer."""


class Gateway:
    """One site: its devices report in turn, all of them in each batch."""

    def __init__(self, number: int, seed: int) -> None:
        draw = random.Random(seed * 10_000 + number)  # noqa: S311 -- a simulation wants to be repeatable
        self._number = number
        self._sequence = itertools.count()
        self._ends = itertools.cycle(
            f'","device_id":"site-{number:04d}-{device:02d}","device_firmware_version":"2.4.1","metrics":{{'
            f'"cpu_temp":{draw.gauss(48, 4):.1f},"vibration_rms":{draw.uniform(1, 3):.2f},'
            f'"supply_voltage":{draw.gauss(24, 0.2):.2f},"humidity":{draw.gauss(42, 5):.1f}}}}}'
            for _ in range(8)
            for device in range(DEVICES)
        )

    def batch(self) -> tuple[range, bytes]:
        """The next events, and their numbers."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        first = next(self._sequence) * BATCH
        numbers = range((self._number << 32) + first, (self._number << 32) + first + BATCH)
        events = (
            f'{{"event_id":"{write_id(number)}","timestamp":"{now}{end}'
            for number, end in zip(numbers, self._ends, strict=False)
        )
        return numbers, f"[{','.join(events)}]".encode()


def write_id(number: int) -> str:
    """The UUID of a number."""
    return f"{number >> 32:08x}-0000-4000-8000-{number & 0xFFFFFFFF:012x}"


def read_id(event_id: str) -> int:
    """The number of a UUID."""
    return (int(event_id[:8], 16) << 32) + int(event_id[-12:], 16)


class Site:
    """A fleet's gateways, posting at a rate together; without one, as fast as they are answered."""

    def __init__(self, api: str, key: str, gateways: Sequence[Gateway], rate: float | None, at_once: int) -> None:
        self.account = Account()
        self._api = f"{api}/v1/events"
        self._headers = {"x-api-key": key, "content-type": "application/json"}
        self._gateways = itertools.cycle(gateways)
        self._rate = rate
        self._at_once = at_once

    async def run(self, seconds: float, delay: float) -> None:
        """Begin after a delay, so that sites do not post in step; at the end, wait for open requests."""
        await asyncio.sleep(delay)
        due = self._due(time.monotonic() + seconds - delay)
        async with aiohttp.ClientSession(timeout=TIMEOUT) as session, asyncio.TaskGroup() as posts:
            for _ in range(self._at_once):
                posts.create_task(self._post_all(session, due))

    def _due(self, end: float) -> Iterator[float]:
        """When each batch is due. Lost time is not made up."""
        due = time.monotonic()
        while (now := time.monotonic()) < end:
            due = now if self._rate is None else max(due + BATCH / self._rate, now - 1)
            yield due

    async def _post_all(self, session: aiohttp.ClientSession, due: Iterator[float]) -> None:
        for moment in due:
            await asyncio.sleep(max(0.0, moment - time.monotonic()))
            await self._post(session, *next(self._gateways).batch())

    async def _post(self, session: aiohttp.ClientSession, numbers: range, body: bytes) -> None:
        """Post one batch, and the same bytes again while the answer allows it. Keeps the first answer's time."""
        for attempt in range(TRIES):
            began, pause = time.monotonic(), 1.0
            try:
                async with session.post(self._api, data=body, headers=self._headers) as answer:
                    document = json.loads(await answer.read())
                    said, pause = str(answer.status), float(answer.headers.get("retry-after", "1"))
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                document, said = {}, type(error).__name__
            if attempt == 0:
                self.account.waits.append((began, time.monotonic() - began))
            self.account.answers[said if said != "429" else f"429 {document.get('code')}"] += 1
            results = document.get("results", ())
            self.account.accepted.update(
                number for number, result in zip(numbers, results, strict=False) if result["status"] == "accepted"
            )
            if results and all(result["status"] != "retry" for result in results):
                return
            await asyncio.sleep(min(LONGEST_PAUSE, pause * 2**attempt))
        self.account.given_up += len(numbers)
