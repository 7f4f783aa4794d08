"""Which bugs of `make mutants` histories can reach, and in which of their areas a bug is searched for."""

from tests.mutations.mutants import Mutant
from tests.simulation.history import ALERTS, BATCHES, KEYS, LIMITS, REDRIVES, REPLAYS, RERUNS, ROLLUPS

BESIDE = {
    "kafka_client.py": "below the simulated clients",
    "/matching/": "match runs in no history",
    "/notify/": "notify runs in no history",
    "/rollup_archive/": "tier runs in no history",
    "recomputing.py": "no sample expires in a history",
    "rolling_plan.py": "no sample expires in a history",
    "resending.py: resend sends as fast": "a history has fewer events than the piece after which resend waits",
    "series.py: alert takes a reading in again": "a second guard drops readings of events that are among the latest",
    "incidents.py: an incident takes the last": "an incident that opens again ends after an hour without a breach",
    "storing.py: the retry of an event whose clock ran ahead": "its copy must come two hours later",
    "storing.py: the cache's suspicion": "no backup is restored in a history, and without that a suspicion is right",
    "aggregating.py: an event is marked as seen before": "a mark is a hint, which the database confirms",
    "stored_records.py: a redriven event of a recreated topic": "no topic is recreated in a history",
}
"""Bugs that no history can find, by their file or their file and bug, and why."""
AREA_OF = {
    "/replay/": REPLAYS,
    "/detect/": ALERTS,
    "/alerts/": ALERTS,
    "/redrive/": REDRIVES,
    "counting.py": REDRIVES,
    "attempt of a redrive": REDRIVES,
    "a rerun shares": RERUNS,
    "quotas.py": LIMITS,
    "published.py": KEYS,
    "api/keys.py": KEYS,
    "/rollups/": ROLLUPS,
    "a marker is not added": ROLLUPS,
    "/failures/": BATCHES,
    "/archive/": BATCHES,
    "core/records.py": BATCHES,
    "/ingest/": BATCHES,
    "/events/": BATCHES,
    "/samples/": BATCHES,
    "deadletter": BATCHES,
    "edge/broker.py": BATCHES,
}
"""In which area a bug is searched for: the first whose word is in its file or name. Without one, in any history."""


def find_reason(mutant: Mutant) -> str | None:
    """Return why no history can find a bug, if none can."""
    return next((reason for word, reason in BESIDE.items() if word in f"{mutant.file}: {mutant.bug}"), None)


def find_area(mutant: Mutant) -> str:
    """Return the area in which a bug is searched for."""
    named = next((area for word, area in AREA_OF.items() if word in mutant.bug), None)
    return named or next((area for word, area in AREA_OF.items() if word in mutant.file), "")
