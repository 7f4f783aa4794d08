"""Records in raw-events that ingest of this release does not write: poison, what is newer, and what ends processes."""

import json
import uuid

from cli.simulation.client import ACCEPTED, Ledger
from sluice.core.messages import Message
from tests.simulation.broker import Brokers
from tests.simulation.history import KILLER, KILLING, POISON, Change

FLEET = "demo"
VERSION, NEWER = 1, 99


class OtherWriters:
    """Stores records past ingest, and writes them down as accepted."""

    def __init__(self, brokers: Brokers, ledger: Ledger) -> None:
        self._brokers = brokers
        self._ledger = ledger

    def write(self, change: Change) -> None:
        """Store what a change says."""
        if change.kind == POISON:
            for number in range(int(change.what)):
                self._store(f"no event {number} at {change.at:.3f}".encode(), None, f"broken-{number}")
        elif change.kind == KILLER:
            body = self._event(f"killer-{change.at:.3f}", KILLING)
            self._brokers.world.deadly.setdefault(change.what, set()).add(body)
            self._store(body, self._envelope(VERSION, 3), KILLING)
        else:
            what, count = change.what.split()
            versions = (NEWER, 3) if what == "envelope" else (VERSION, NEWER)
            for number in range(int(count)):
                body = self._event(f"newer-{number}-{change.at:.3f}", "press-newer")
                self._store(body, self._envelope(*versions), "press-newer")

    def _envelope(self, version: int, contract_version: int) -> bytes:
        now = self._brokers.world.timeline.now().isoformat()
        return json.dumps([version, now, FLEET, "telemetry", contract_version, [], "another writer"]).encode()

    def _event(self, name: str, device: str) -> bytes:
        document = {
            # archive stores only events whose ids are UUIDs.
            "event_id": str(uuid.uuid5(uuid.NAMESPACE_OID, name)),
            "device_id": device,
            "device_firmware_version": "3.0.0",
            "timestamp": self._brokers.world.timeline.now().isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "metrics": {
                "cpu_temp": 40.5,
                "vibration_rms": 2.0,
                "humidity": 40.0,
                "motor_current": 3.0,
                "bearing_temp": 60.0,
            },
        }
        return json.dumps(document).encode()

    def _store(self, body: bytes, envelope: bytes | None, key: str) -> None:
        headers = () if envelope is None else (("sluice", envelope),)
        self._brokers.append(Message("raw-events", key.encode(), body, headers))
        self._ledger.note(body, ACCEPTED)
