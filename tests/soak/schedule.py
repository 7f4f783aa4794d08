"""Which faults a soak injects, and when: chosen by its seed alone, so that a failure can be reproduced."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from tests.faults.injector import BROKERS

SERVERS = (*BROKERS, "postgres", "redis")
MODELS = ("http_api", "lambdas", "event_source", "firehose", "scheduler")
FUNCTIONS = ("ingest", "archive", "aggregate", "roll", "deadletter")

#: What can be done to which parts.
FAULTS: dict[str, tuple[str, ...]] = {
    "kill": (*SERVERS, *MODELS),
    "freeze": (*SERVERS, *MODELS, "aws", "all brokers", "database and cache"),
    "slow": (*SERVERS, *MODELS, "aws"),
    "cut": SERVERS,
    "fill the disk of": (*BROKERS, "postgres"),
    "kill workers of": FUNCTIONS,
    "hold workers of": FUNCTIONS,
    "refuse records at": ("firehose",),
    "lose answers of": ("firehose",),
}

#: What a name of several parts stands for.
TOGETHER = {"all brokers": BROKERS, "database and cache": ("postgres", "redis")}

LONGEST_SECONDS = 8.0
#: Between two faults: the supervisor gives up a part that dies too often in a row.
PAUSE_SECONDS = (3.0, 12.0)
#: Before the first fault and after the last.
QUIET_SECONDS = 10.0


@dataclass(frozen=True)
class Step:
    """One fault: its kind, its part, its start in seconds since the beginning, and its length."""

    at: float
    fault: str
    part: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.at:7.1f} s  {self.fault} {self.part} for {self.seconds:.1f} s"


def draw_schedule(seed: int, seconds: float) -> Iterator[Step]:
    """Draw one fault after the other, each over before the next."""
    draw = random.Random(seed)
    cells = [(fault, part) for fault, parts in FAULTS.items() for part in parts]
    at = QUIET_SECONDS
    while True:
        fault, part = draw.choice(cells)
        lasts = draw.uniform(1.0, LONGEST_SECONDS)
        if at + lasts > seconds - QUIET_SECONDS:
            return
        yield Step(at, fault, part, lasts)
        at += lasts + draw.uniform(*PAUSE_SECONDS)
