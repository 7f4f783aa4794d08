"""The checker on a real stack: one stored row deleted, altered or doubled turns it red, in each store (I8)."""

import contextlib
import gzip
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cli.simulation.client import Ledger, digest
from cli.simulation.clocks import ended_minutes
from cli.simulation.devices import EVENTS, Fleet
from tests.faults.conftest import check, post_settled
from tests.flow.conftest import READERS, Stack
from tests.support.invariants import balance, find_faults
from tests.support.recomputation import RawEvent

Fields = dict[str, Any]
Change = Callable[[Fields], list[Fields]]
Broken = contextlib.AbstractContextManager[None]


@contextlib.contextmanager
def changed_object(stack: Stack, bucket: str, prefix: str, change: Callable[[bytes], bytes]) -> Iterator[None]:
    """Apply a change to the first object that it alters, and restore the object."""
    name = stack["buckets"][bucket]
    pages = stack.stores.s3.get_paginator("list_objects_v2").paginate(Bucket=name, Prefix=prefix)
    for key in sorted((item["Key"] for page in pages for item in page.get("Contents", ())), reverse=True):
        body = stack.stores.s3.get_object(Bucket=name, Key=key)["Body"].read()
        altered = change(body)
        if altered == body:
            continue
        stack.stores.s3.put_object(Bucket=name, Key=key, Body=altered)
        try:
            yield
        finally:
            stack.stores.s3.put_object(Bucket=name, Key=key, Body=body)
        return
    raise AssertionError(f"no object of {bucket} holds it")


def in_rows(event_id: str, change: Change) -> Callable[[bytes], bytes]:
    """Apply a change to an event's row in a raw file."""

    def altered(body: bytes) -> bytes:
        table = pq.read_table(io.BytesIO(body))
        rows = table.to_pylist()
        if event_id not in {row["event_id"] for row in rows}:
            return body
        rows = [new for row in rows for new in (change(row) if row["event_id"] == event_id else [row])]
        file = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), file)
        return file.getvalue()

    return altered


def in_letters(text: str, change: Change) -> Callable[[bytes], bytes]:
    """Apply a change to an event's dead letter."""

    def altered(body: bytes) -> bytes:
        kept = [json.loads(line) for line in gzip.decompress(body).splitlines()]
        if text not in {letter.get("event") for letter in kept}:
            return body
        kept = [new for letter in kept for new in (change(letter) if letter.get("event") == text else [letter])]
        return gzip.compress(b"".join(json.dumps(letter).encode() + b"\n" for letter in kept))

    return altered


@contextlib.contextmanager
def changed_row(stack: Stack, table: str, where: str, change: str) -> Iterator[None]:
    """Change a row of the database, and restore it. Rows added beside it are deleted."""
    with psycopg.connect(stack["database"], autocommit=True) as connection:
        connection.execute(f"CREATE TEMPORARY TABLE kept AS SELECT * FROM {table} WHERE {where}".encode())
        assert connection.execute("SELECT count(*) FROM kept").fetchall() == [(1,)]
        connection.execute(change.format(row=f"{table} WHERE {where}", set=f"{table} SET", where=where).encode())
        try:
            yield
        finally:
            connection.execute(f"DELETE FROM {table} USING kept WHERE {SAME[table]}".encode())
            connection.execute(f"INSERT INTO {table} SELECT * FROM kept".encode())


# The columns that a row shares with its copy.
SAME = {
    "sample": "(sample.entity_key, sample.event_key) = (kept.entity_key, kept.event_key)",
    "rollup_1m": "(rollup_1m.entity_key, rollup_1m.rolled_at) = (kept.entity_key, kept.rolled_at)"
    " AND rollup_1m.window_start <= kept.window_start + interval '1 s'"
    " AND rollup_1m.window_start >= kept.window_start",
}


@dataclass(frozen=True)
class Proven:
    """A stack that passed the check, and the parts of it to break."""

    stack: Stack
    ledger: Ledger
    earlier: set[str]
    victim: RawEvent
    rejected: str

    def row(self, change: Change) -> Broken:
        return changed_object(self.stack, "raw", "raw/", in_rows(self.victim.event_id, change))

    def letter(self, change: Change) -> Broken:
        return changed_object(self.stack, "dead_letter", "dead_letters/", in_letters(self.rejected, change))

    def sample(self, change: str) -> Broken:
        return changed_row(self.stack, "sample", f"event_key = '{self.victim.event_id}'", change)

    def rollup(self, change: str) -> Broken:
        minute = (
            "(entity_key, window_start) = (SELECT entity_key, date_trunc('minute', effective_time, 'UTC')"
            f" FROM sample WHERE event_key = '{self.victim.event_id}')"
        )
        return changed_row(self.stack, "rollup_1m", minute, change)

    def letter_of_the_victim(self, letter: Fields) -> list[Fields]:
        """The letter, and another that says archive has given up a record which it has archived."""
        place = {"kafka_partition": self.victim.kafka_partition, "kafka_offset": self.victim.kafka_offset}
        return [letter, letter | {"consumer": "archive", "kafka_topic": "raw-events"} | place]


@pytest.fixture(scope="module")
def proven(stack: Stack) -> Proven:
    """Some events, stored and checked."""
    stack.settle(READERS)
    earlier = stack.stores.contents()
    fleet = Fleet(81, 5, ended_minutes(81))
    good = [fleet.good_event(EVENTS) for _ in range(40)]
    bad = next(sent for sent in iter(fleet.event, None) if sent.kind == "invalid")
    ledger = post_settled(stack, [[*good, bad]])
    check(stack, ledger, earlier)
    victim = next(row.event for row in stack.stores.rows() if row.sha256 == digest(good[0].body))
    return Proven(stack, ledger, earlier, victim, bad.body.decode())


ALTERED_SAMPLE = "UPDATE {set} readings[1] = readings[1] + 1 WHERE {where}"
DOUBLED_SAMPLE = """
    INSERT INTO sample
    SELECT entity_key, event_key, effective_time + interval '1 ms', shard, metric_keys, readings FROM kept
"""
DOUBLED_ROLLUP = """
    INSERT INTO rollup_1m
    SELECT
        entity_key, window_start + interval '1 s', metric_keys, counts, means, m2s, sums, mins, maxs, p50s, p95s, bins,
        bin_counts, rolled_at
    FROM kept
"""


# Each check reads all that the stack has stored. So one check sees a change in each store.
@pytest.mark.parametrize(
    "breaks",
    [
        {
            lambda one: one.row(lambda _: []): "neither archived nor dead-lettered",
            lambda one: one.letter(lambda _: []): "rejected but in no dead letter",
            lambda one: one.sample("DELETE FROM {row}"): "counted 0 times",
            lambda one: one.rollup("DELETE FROM {row}"): "missing: ",
        },
        {
            lambda one: one.row(lambda row: [row | {"event": row["event"] + " "}]): "other bytes are archived",
            lambda one: one.letter(lambda letter: [letter | {"event": "{}"}]): "holds other bytes than it says",
            lambda one: one.sample(
                "UPDATE {set} readings[1] = readings[1] + 1 WHERE {where}"
            ): "counted as what it is not",
            lambda one: one.rollup("UPDATE {set} maxs[1] = maxs[1] + 1 WHERE {where}"): "max is",
        },
        {
            lambda one: one.row(lambda row: [row, row | {"kafka_offset": 10**6}]): "of no record",
            lambda one: one.letter(one.letter_of_the_victim): "archived and dead-lettered by archive",
            lambda one: one.sample(DOUBLED_SAMPLE): "counted 2 times",
            lambda one: one.rollup(DOUBLED_ROLLUP): "extra: ",
        },
    ],
    ids=["deleted", "altered", "doubled"],
)
def test_one_row_of_each_store_deleted_altered_or_doubled_is_found(
    proven: Proven, breaks: dict[Callable[[Proven], Broken], str]
) -> None:
    # What looks up the sample comes before what changes it.
    with contextlib.ExitStack() as broken:
        for break_it in reversed(breaks):
            broken.enter_context(break_it(proven))
        faults = find_faults(proven.ledger, proven.stack.stores.read(), proven.earlier)
    assert not [says for says in breaks.values() if not any(says in fault for fault in faults)], faults


def test_once_all_is_as_it_was_nothing_is_found(proven: Proven) -> None:
    balance(proven.ledger, proven.stack.stores.read(), proven.earlier)
