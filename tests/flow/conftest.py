"""A local stack as tests use it, started as a person would start it."""

import csv
import io
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

from local.admin import Admin
from tests.support.recomputation import find_differences, read_numbers, recompute, rolled_until
from tests.support.stores import DEAD_LETTERS, RAW_EVENTS, Stores, committed_offsets, end_offsets

ROOT = Path(__file__).parents[2]
READERS = ("archive", "aggregate", "deadletter")


class Stack:
    """A running stack as its stack.json describes it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.description: dict[str, Any] = json.loads((directory / "stack.json").read_text())
        self.stores = Stores(self.description)

    def __getitem__(self, name: str) -> Any:
        return self.description[name]

    def query(self, *arguments: str) -> list[list[str]]:
        """Run the analyst's query command and return the rows of its CSV, the header first."""
        command = [sys.executable, "-m", "cli", "query", "--dir", str(self.directory), *arguments]
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
        assert ran.returncode == 0, ran.stderr.decode()
        return list(csv.reader(io.StringIO(ran.stdout.decode(), newline="")))

    def settle(self, readers: Sequence[str] = ("archive", "aggregate"), patience: float = 120) -> None:
        """Wait until every consumer has read what the brokers hold, and Parquet has what archive read.

        The timeout restarts with each progress.
        """
        for reader in readers:
            self._catch_up(reader, patience)
        request = urllib.request.Request(f"{self['firehose']}/_model/flush", method="POST")
        urllib.request.urlopen(request, timeout=60).close()

    def settle_numbers(
        self, through: datetime | None = None, readers: Sequence[str] = ("archive", "aggregate"), patience: float = 120
    ) -> None:
        """Wait until everything is counted and rolled that belongs to windows which have ended by a moment.

        Two minutes ago, unless it is said: by then, every minute is closed without waiting for it.
        """
        self.settle(readers)
        ended = through or datetime.now(UTC) - timedelta(minutes=2)
        before, deadline = None, time.monotonic() + patience
        with psycopg.connect(self["database"], autocommit=True) as connection:
            while True:
                if (now := rolled_until(connection)) >= ended:
                    return
                if now != before:
                    before, deadline = now, time.monotonic() + patience
                assert time.monotonic() < deadline, f"rolled until {now}, and not until {ended}"
                time.sleep(0.5)

    def unread(self, reader: str) -> int:
        """The number of records in the brokers that a consumer has not processed."""
        topic = DEAD_LETTERS if reader == "deadletter" else RAW_EVENTS
        ends = end_offsets(self["broker"], topic)
        committed = committed_offsets(self["broker"], topic, self["consumers"][reader])
        return sum(end - committed.get(partition, 0) for partition, end in ends.items())

    def _catch_up(self, reader: str, patience: float) -> None:
        before, deadline = None, time.monotonic() + patience
        while unread := self.unread(reader):
            if unread != before:
                before, deadline = unread, time.monotonic() + patience
            assert time.monotonic() < deadline, f"{reader} stands still, {unread} records behind"
            time.sleep(0.5)


def check_numbers(stack: Stack, through: datetime | None = None) -> None:
    """Compare every closed window of a stack with the recomputation, for all senders."""
    stack.settle_numbers(through)
    numbers = read_numbers(stack["database"])
    differences = find_differences(recompute(row.event for row in stack.stores.rows()), numbers)
    assert not differences, "\n".join([f"{len(differences)} differences", *differences[:20]])


def create_fleet(stack: Stack, fleet_id: str, events_per_second: float = 1000, rejects_per_second: float = 50) -> str:
    """A fleet of a test's own, with one device key."""
    admin = Admin.of(stack)
    admin.create_fleet(fleet_id, events_per_second=events_per_second, rejects_per_second=rejects_per_second)
    return admin.create_key(fleet_id, "device")


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
