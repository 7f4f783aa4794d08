"""What simulated devices send: believable numbers, and the faults that real fleets have."""

import json
import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

EVENTS, READINGS, ACTIVITY = "/v1/events", "/v1/readings", "/v1/activity"
HEAT = 60.0
"""How many degrees an overheated device is hotter."""
HEATED_SHARE = 0.02
"""The share of telemetry that an overheated device sends: enough readings in seconds, at any rate."""

FIRMWARE = {"1.8.3": 4, "2.4.1": 3, "3.0.0": 2, "3.1.2": 1}  # version: share

# What gauges measure and in which unit: mean and spread. The pipeline keeps a series in one unit.
GAUGES = (
    ("temperature", "degF", 158.0, 9.0),
    ("temperature", "degC", 70.0, 5.0),
    ("temperature", "K", 343.0, 5.0),
    ("pressure", "bar", 6.2, 0.2),
    ("pressure", "kPa", 620.0, 20.0),
    ("current", "mA", 8000.0, 500.0),
)


@dataclass(frozen=True)
class Sent:
    """The bytes of one event, the route they belong to, and what kind of event they are."""

    route: str
    body: bytes
    kind: str


def write(document: dict[str, Any]) -> bytes:
    """Write an event as a device would."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


class Fleet:
    """Devices that take turns in sending; the same seed sends the same events."""

    def __init__(self, seed: int, devices: int, clock: Callable[[], datetime]) -> None:
        self._random = random.Random(seed)  # noqa: S311 -- a simulation wants to be repeatable
        self._clock = clock
        self._firmware = self._random.choices(list(FIRMWARE), list(FIRMWARE.values()), k=devices)
        self._warmth = [self._random.gauss(48, 4) for _ in range(devices)]
        self._last: dict[str, Sent] = {}
        self.heated: int | None = None
        """The device that is overheated."""
        self._faults: tuple[tuple[str, float, Callable[[], Sent]], ...] = (
            ("duplicate", 0.01, self._duplicate),
            ("late", 0.005, lambda: self._telemetry("late", ago=timedelta(hours=3))),
            ("future", 0.005, lambda: self._telemetry("future", ago=timedelta(minutes=-20))),
            ("undeclared", 0.005, self._undeclared),
            ("unknown_firmware", 0.003, lambda: self._telemetry("unknown_firmware", firmware="9.0.0")),
            ("invalid", 0.003, self._invalid),
            ("malformed", 0.002, self._malformed),
        )

    @property
    def size(self) -> int:
        """How many devices send telemetry."""
        return len(self._firmware)

    @staticmethod
    def name(index: int) -> str:
        """Name a device."""
        return f"press-{index:05d}"

    def event(self, route: str = EVENTS) -> Sent:
        """The next event of a route, mostly good."""
        if route == READINGS:
            return self._reading()
        if route == ACTIVITY:
            return self._activity()
        draw = self._random.random()
        for _, share, make in self._faults:
            if draw < share:
                return make()
            draw -= share
        sent = self._telemetry("telemetry")
        self._last[route] = sent
        return sent

    def good_event(self, route: str = EVENTS) -> Sent:
        """The next event of a route that keeps its contract."""
        return self._telemetry("telemetry") if route == EVENTS else self.event(route)

    def _telemetry(
        self, kind: str, *, firmware: str | None = None, ago: timedelta = timedelta(0), **changes: object
    ) -> Sent:
        index = self._random.randrange(len(self._firmware))
        if self.heated is not None and self._random.random() < HEATED_SHARE:
            index = self.heated
        warmth = self._warmth[index] + (HEAT if index == self.heated else 0.0)
        version = firmware or self._firmware[index]
        noise = self._random.gauss
        metrics: dict[str, Any] = {
            "cpu_temp": round(warmth + noise(0, 1.5), 1),
            "vibration_rms": round(abs(noise(2, 0.6)), 2),
        }
        if version[0] != "3" or self._random.random() < 0.5:
            metrics["supply_voltage"] = round(noise(24, 0.2), 2)
        if version[0] in "23":
            metrics |= {"humidity": round(noise(42, 5), 1), "motor_current": round(abs(noise(3, 0.7)), 2)}
        if version[0] == "3":
            metrics["bearing_temp"] = round(noise(60, 3), 1)
        document = {
            "event_id": self._uuid(),
            "device_id": self.name(index),
            "device_firmware_version": version,
            "timestamp": self._time(ago),
            "metrics": metrics,
        }
        return Sent(EVENTS, write(document | changes), kind)

    def _duplicate(self) -> Sent:
        last = self._last.get(EVENTS)
        return Sent(EVENTS, last.body, "duplicate") if last else self._telemetry("telemetry")

    def _undeclared(self) -> Sent:
        """An event that keeps its contract and says more than it."""
        document = json.loads(self._telemetry("undeclared").body)
        document["metrics"]["fan_speed"] = round(abs(self._random.gauss(1200, 50)))
        return Sent(EVENTS, write(document | {"line": "B"}), "undeclared")

    def _invalid(self) -> Sent:
        return self._telemetry("invalid", metrics={"cpu_temp": "hot", "supply_voltage": 24})

    def _malformed(self) -> Sent:
        return Sent(EVENTS, self._telemetry("malformed").body[:-9], "malformed")

    def _reading(self) -> Sent:
        sensor, unit, mean, spread = self._random.choice(GAUGES)
        document: dict[str, Any] = {
            "event_id": f"reading-{self._uuid()}",
            "device_id": f"gauge-{self._random.randrange(200):03d}",
            "event_time": self._time(),
            "sensor_type": sensor,
            "value": round(self._random.gauss(mean, spread), 1),
            "unit": unit,
        }
        if self._random.random() < 0.5:
            document |= {"firmware_version": "2.1.0", "region": "us-east-1", "schema_version": 2}
        return Sent(READINGS, write(document), "reading")

    def _activity(self) -> Sent:
        document = {
            "type": self._random.choice(("door_opened", "shift_started", "key_turned", "maintenance_done")),
            "timestamp": self._time(),
            "source": f"gate-{self._random.randrange(20):02d}",
            "metadata": {"note": "Tür geöffnet", "badge": self._random.randrange(10_000)},
        }
        return Sent(ACTIVITY, write(document), "activity")

    def _uuid(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def _time(self, ago: timedelta = timedelta(0)) -> str:
        moment = (self._clock() - ago).astimezone(UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
