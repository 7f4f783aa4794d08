"""`make bench`, second part: CPU microseconds per event of archive's own work, the delivery not counted, and its bytes.

CPU time of this process, the best of several rounds: what the machine's other work adds is not ours.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from bench.report import Report
from cli.simulation.devices import Fleet
from sluice.core.api.requests import Request
from sluice.core.archive.rows import make_row, pack_rows
from sluice.core.ingest.judge import Accepted, Rules, judge
from sluice.core.limits import Limits
from sluice.core.records import KafkaRecord, Origin
from sluice.edge.events.schemas import load_contracts

EVENTS, ROUNDS = 2_000, 5
CORRELATION_ID = "Kx3sUh2dIAMEb9w="
"""As long as the request ids of API Gateway are."""


def measure(work: Callable[[], object]) -> float:
    """CPU microseconds per event, the best of several rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        best = min(best, time.process_time() - began)
    return best / EVENTS * 1e6


def main() -> None:
    """Measure and print."""
    now = datetime.now(UTC)
    contracts, fleet = load_contracts(), Fleet(1, 500, lambda: now)
    rules, request = Rules(contracts, Limits(), "raw-events"), Request("POST /v1/events", None, now, CORRELATION_ID)
    verdicts = [judge(fleet.good_event().body, "telemetry", "demo", request, rules) for _ in range(EVENTS)]
    messages = [verdict.message for verdict in verdicts if isinstance(verdict, Accepted)]
    records = [
        KafkaRecord(Origin("raw-events", 0, offset), message.value, dict(message.headers))
        for offset, message in enumerate(messages)
    ]
    rows = [(record.origin, make_row(record, contracts)) for record in records]
    report = Report("archive", 9)
    report.table("archive, CPU us per event")
    report.line("  make the row", [measure(lambda: [make_row(record, contracts) for record in records])], ".2f")
    report.line("  pack the rows", [measure(lambda: list(pack_rows(rows)))], ".2f")
    report.table("archive, bytes per event")
    sent, billed = sum(len(record.value) for record in records), sum(len(pack.data) for pack in pack_rows(rows))
    report.line("  the event as sent", [sent / EVENTS], ".0f", timed=0)
    report.line("  its row, as it is billed", [billed / EVENTS], ".0f", timed=0)
    report.end()


if __name__ == "__main__":
    main()
