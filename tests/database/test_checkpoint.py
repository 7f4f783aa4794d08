"""Signing checkpoints on a real database: as a role that reads the audit and nothing else."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import psycopg
import pytest

from sluice.core.control.audit import Act, Entry, write_entry
from sluice.core.control.verification import Broken
from sluice.edge.control.checkpointing import Checkpointing
from sluice.edge.control.store import ControlStore
from sluice.edge.database import Database
from tests.support.played_audit import PlayedAudit

Owner = psycopg.Connection[tuple[Any, ...]]
NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
ROLE = "sluice_checkpoint"


@pytest.fixture
def owner(database: str) -> Iterator[Owner]:
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


@pytest.fixture
def signing(database: str) -> Iterator[Checkpointing]:
    """What signs, with a played key and bucket."""
    connected = Database(partial(psycopg.connect, database, user=ROLE, autocommit=True), 5)
    played = PlayedAudit([]).checkpointing()
    yield Checkpointing(ControlStore(connected), played.bucket, played.signer, played.stage, played.renewal)
    connected.close()


def append(owner: Owner, count: int) -> None:
    row = owner.execute("SELECT number, entry, hash FROM audit ORDER BY number DESC LIMIT 1").fetchone()
    last = Entry(row[0], row[1].encode(), row[2]) if row else None
    for _ in range(count):
        last = write_entry(Act(NOW, "arn", "fleet.create", "fleet/f", None, {"state": "größer"}, "c"), last)
        owner.execute("INSERT INTO audit VALUES (%s, %s, %s)", (last.number, last.text.decode(), last.hash))


def test_what_is_new_is_signed(signing: Checkpointing, owner: Owner) -> None:
    assert signing.run(NOW).signed is None
    append(owner, 3)
    assert signing.run(NOW).signed == 3
    append(owner, 1)
    assert signing.run(NOW + timedelta(minutes=5)).signed == 4


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        (
            "UPDATE audit SET entry = replace(entry, 'fleet/f', 'fleet/g') WHERE number = 2",
            "entry 2: its text does not",
        ),
        ("DELETE FROM audit WHERE number = 5", "entry 5: it is missing"),
        ("DELETE FROM audit WHERE number > 2", "entry 3: it is missing, like all after it: a checkpoint knows entry 4"),
        ("TRUNCATE audit", "entry 1: it is missing, like all after it: a checkpoint knows entry 4"),
        ("UPDATE audit SET number = CASE number WHEN 5 THEN 9 ELSE number END", "entry 5: it stands after a later one"),
    ],
)
def test_what_a_superuser_alters_is_named_and_not_signed(
    signing: Checkpointing, owner: Owner, statement: str, says: str
) -> None:
    append(owner, 4)
    signing.run(NOW)
    append(owner, 2)
    owner.execute(statement)
    with pytest.raises(Broken, match=says):
        signing.run(NOW + timedelta(minutes=5))


def test_its_role_reads_the_audit_and_nothing_else(database: str) -> None:
    with psycopg.connect(database, user=ROLE, autocommit=True) as connection:
        assert connection.execute("SELECT count(*) FROM audit").fetchone() == (0,)
        for statement in (
            "INSERT INTO audit VALUES (1, '', repeat('0', 64))",
            "UPDATE audit SET hash = hash",
            "DELETE FROM audit",
            "TRUNCATE audit",
            "SELECT FROM api_key",
            "SELECT FROM fleet",
            "SELECT FROM answered",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
