"""A backup of a stack's whole database, and the restore to it, as of an instance that is lost."""

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psycopg
from confluent_kafka import Consumer, KafkaException, TopicPartition

from tests.faults.injector import Injector, wait_until
from tests.flow.conftest import Stack


@dataclass(frozen=True)
class Backup:
    """A physical copy of the server's data, as point-in-time recovery leaves it."""

    stack: Stack
    injector: Injector
    copy: Path

    @classmethod
    def take(cls, stack: Stack, injector: Injector) -> "Backup":
        """Copy the server while it works."""
        server = Path(f"/proc/{injector.pid('postgres')}/exe").resolve()
        copy = _data(stack).with_name("backup")
        command = [str(server.with_name("pg_basebackup")), "--pgdata", str(copy), "--checkpoint", "fast", "--no-sync"]
        # Its programs find their libraries beside themselves, and not where the interpreter's are.
        taken = subprocess.run(
            [*command, "--dbname", stack["database"]], capture_output=True, text=True, check=False, timeout=120
        )
        assert taken.returncode == 0, taken.stderr
        return cls(stack, injector, copy)

    def restore(self) -> None:
        """Lose the server with its data, and start one on the copy under the same address."""
        data = _data(self.stack)
        owner = data.stat()
        for path in (self.copy, *self.copy.rglob("*")):
            os.chown(path, owner.st_uid, owner.st_gid)
        lost, victim = data.with_name("lost"), self.injector.pid("postgres")
        # The server goes on in the directory that it has open; whoever is started next finds the copy.
        data.rename(lost)
        self.copy.rename(data)
        os.kill(victim, signal.SIGQUIT)
        wait_until(
            "a restored server answers", lambda: self.injector.pid("postgres") != victim and _answers(self.stack)
        )
        shutil.rmtree(lost)


def set_back(stack: Stack, group: str, topic: str, moment: datetime) -> Mapping[int, int]:
    """Let a group begin again with what came since a moment; no one may be in it. Return where it begins."""
    consumer = Consumer({"bootstrap.servers": stack["broker"], "group.id": group, "enable.auto.commit": False})
    try:
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        since = [TopicPartition(topic, partition, int(moment.timestamp() * 1000)) for partition in partitions]
        places = consumer.offsets_for_times(since, timeout=10)

        def commits() -> bool:
            try:
                consumer.commit(offsets=places, asynchronous=False)
            except KafkaException:
                return False  # a member that was killed is in the group until its session ends
            return True

        wait_until(f"{group} is set back", commits, seconds=120)
        return {place.partition: place.offset for place in places}
    finally:
        consumer.close()


def _data(stack: Stack) -> Path:
    with psycopg.connect(stack["database"]) as connection:
        row = connection.execute("SHOW data_directory").fetchone()
    assert row is not None
    return Path(row[0])


def _answers(stack: Stack) -> bool:
    try:
        psycopg.connect(stack["database"], connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True
