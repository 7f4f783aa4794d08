"""Metrics that a model writes as functions write theirs: a line of the embedded metric format for each value."""

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec


class MetricLog:
    """One file of such lines, for one namespace; threads may share it."""

    def __init__(self, path: Path, namespace: str, clock: Callable[[], float] = time.time) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._namespace = namespace
        self._clock = clock
        self._writing = threading.Lock()

    def write(self, name: str, value: float, dimensions: Mapping[str, str]) -> None:
        """Append one value of a metric."""
        described = {"Namespace": self._namespace, "Dimensions": [[*dimensions]], "Metrics": [{"Name": name}]}
        header = {"Timestamp": int(self._clock() * 1000), "CloudWatchMetrics": [described]}
        line = msgspec.json.encode({"_aws": header, **dimensions, name: [value]}) + b"\n"
        with self._writing, self._path.open("ab") as file:
            file.write(line)
