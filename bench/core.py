"""`make bench`: CPU microseconds per event of the pure parts of ingest and archive, by batch size.

CPU time of this process, the best of several rounds: what the machine's other work adds is not ours. Producing and
delivering are not in it; they need services and have benches of their own when those parts are hardened.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from local.fleet.devices import Fleet
from sluice.core.answers import ACCEPTED, Result, answer_results
from sluice.core.judge import Rules, judge
from sluice.core.limits import Limits
from sluice.core.keys import StoredKey, compose_key, hash_key, open_with, parse_key
from sluice.core.packing import pack_rows
from sluice.core.records import KafkaRecord, Origin
from sluice.core.requests import Request
from sluice.core.rows import make_row
from sluice.core.slices import split_body
from sluice.edge.schemas import load_contracts

EVENTS, ROUNDS, SIZES = 2_000, 5, (1, 10, 100)


def measure(work: Callable[[], object], events: int) -> float:
    """CPU microseconds per event, the best of several rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        best = min(best, time.process_time() - began)
    return best / events * 1e6


def main() -> None:
    """Measure and print one table."""
    now = datetime.now(UTC)
    contracts, limits, fleet = load_contracts(), Limits(), Fleet(1, 500, lambda: now)
    key = compose_key("bench", "k" * 16, "s" * 43)
    stored = StoredKey("k" * 16, "demo", "device", hash_key(key))
    request = Request("POST /v1/events", key, b"", now, "bench")
    slices = [fleet.good_event().body for _ in range(EVENTS)]
    verdicts = [judge(one, "telemetry", "demo", request, contracts, limits) for one in slices]
    records = [verdict.record for verdict in verdicts if verdict.record is not None]
    kafka = [
        KafkaRecord(Origin("raw-events", 0, offset), record.value, {"sluice": record.envelope})
        for offset, record in enumerate(records)
    ]
    rows = [(one.origin, make_row(one, contracts)) for one in kafka]
    bodies = {size: _bodies(slices, size) for size in SIZES}
    print(f"{'CPU us per event, batch of':28}" + "".join(f"{size:8}" for size in SIZES))
    parts: dict[str, Callable[[int], Callable[[], object]]] = {
        "authenticate": lambda size: (
            lambda: [open_with(parse_key(key, "bench"), stored, "device", now) for _ in range(EVENTS // size)]
        ),
        "split": lambda size: lambda: [split_body(body, 100) for body in bodies[size]],
        "judge": lambda _: lambda: [judge(one, "telemetry", "demo", request, contracts, limits) for one in slices],
        "answer": lambda size: (
            lambda: [
                answer_results([Result(index, "id", ACCEPTED) for index in range(size)], "bench", 1)
                for _ in range(EVENTS // size)
            ]
        ),
        "archive: row": lambda _: lambda: [make_row(one, contracts) for one in kafka],
        "archive: pack": lambda _: lambda: list(pack_rows(rows)),
    }
    for name, part in parts.items():
        print(f"{name:28}" + "".join(f"{measure(part(size), EVENTS):8.2f}" for size in SIZES))


def _bodies(slices: list[bytes], size: int) -> list[bytes]:
    return [b"[" + b",".join(slices[start : start + size]) + b"]" for start in range(0, len(slices), size)]


if __name__ == "__main__":
    main()
