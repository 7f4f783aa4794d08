"""One local stack for all flow tests, started as a person would start it."""

import csv
import io
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient

from tests.ledger import end_offsets

ROOT = Path(__file__).parents[2]


class Stack:
    """A running stack as its stack.json describes it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.description: dict[str, Any] = json.loads((directory / "stack.json").read_text())

    def __getitem__(self, name: str) -> Any:
        return self.description[name]

    def query(self, *arguments: str) -> list[list[str]]:
        """Run the analyst's query command and return the rows of its CSV, the header first."""
        command = [sys.executable, "-m", "local.query", "--dir", str(self.directory), *arguments]
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
        assert ran.returncode == 0, ran.stderr.decode()
        return list(csv.reader(io.StringIO(ran.stdout.decode(), newline="")))

    def settle(self, patience: float = 120) -> None:
        """Wait until everything stored by the brokers has reached Parquet; patience starts anew with each progress."""
        admin = AdminClient({"bootstrap.servers": self["broker"]})
        group = self["consumers"]["archive"]
        before, deadline = None, time.monotonic() + patience
        while True:
            ends = end_offsets(self["broker"], "raw-events")
            places = [TopicPartition("raw-events", number) for number in ends]
            answer = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group, places)])[group].result()
            read = {place.partition: max(place.offset, 0) for place in answer.topic_partitions}
            if read == ends:
                request = urllib.request.Request(f"{self['firehose']}/_model/flush", method="POST")
                urllib.request.urlopen(request, timeout=60).close()
                return
            if read != before:
                before, deadline = read, time.monotonic() + patience
            assert time.monotonic() < deadline, f"archive stands still at {sum(read.values())} of {sum(ends.values())}"
            time.sleep(0.5)


def start(directory: Path) -> Stack:
    """Start a stack in a directory of its own."""
    # Owned by this process: a test run that is killed takes its stack along.
    command = [sys.executable, "-m", "local", "up", "--dir", str(directory), "--owner", str(os.getpid())]
    started = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert started.returncode == 0, started.stdout + started.stderr
    return Stack(directory)


def stop(directory: Path) -> None:
    """Stop the stack of a directory."""
    subprocess.run([sys.executable, "-m", "local", "down", "--dir", str(directory)], cwd=ROOT, check=True)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack that the flow tests share; each test sends events of its own."""
    directory = tmp_path_factory.mktemp("stack")
    try:
        yield start(directory)
    finally:
        stop(directory)
