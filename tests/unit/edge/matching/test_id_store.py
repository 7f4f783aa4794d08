"""Parts of ids are read back as they were written, slice by slice, and name the place of each event."""

from typing import Any

import numpy as np
import pytest

from sluice.core.matching.ids import Ids, sort_ids
from sluice.edge.matching import id_store
from sluice.edge.matching.id_store import IdStore, locate
from tests.unit.edge.replay.parquet import Files


class Place(Files):
    """A bucket that keeps what is put."""

    def put(self, name: str, data: bytes) -> None:
        self.held[name] = data


def some(count: int) -> Ids:
    draw = np.random.default_rng(count)
    hashes = draw.integers(0, 2**64, count, dtype=np.uint64)
    bodies = draw.integers(0, 2**32, count, dtype=np.uint32)
    return sort_ids(hashes, bodies, np.arange(count, dtype=np.uint32))


@pytest.mark.parametrize("count", [1, 10, 25])
def test_ids_are_read_back_as_they_were_written(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(id_store, "SLICE", 10)
    monkeypatch.setattr(id_store, "GROUP", 4)
    bucket: Any = Place({})
    store, ids, files = IdStore(bucket), some(count), (("raw/a", 3), ("raw/b", count))
    part = store.write(ids, files)
    groups = list(store.read(part))
    assert len(bucket.held) == -(-count // 10)
    assert all(len(group.read_hashes()) <= 4 for group in groups)
    for read, numbers in (("read_hashes", ids.hashes), ("read_bodies", ids.bodies), ("read_rows", ids.rows)):
        assert np.concatenate([getattr(group, read)() for group in groups]).tolist() == numbers.tolist()
    assert {group.files for group in groups} == {files}
    assert all(name.startswith("ids/") for name in bucket.held)


def test_the_same_files_make_the_same_objects() -> None:
    bucket: Any = Place({})
    store = IdStore(bucket)
    assert store.write(some(5), (("raw/a", 5),)) == store.write(some(5), (("raw/a", 5),))
    assert len(bucket.held) == 1
    assert store.write(some(5), (("raw/b", 5),)) != store.write(some(5), (("raw/a", 5),))


def test_a_row_is_found_in_its_file() -> None:
    files = [("a", 2), ("b", 0), ("c", 3)]
    rows = np.arange(5, dtype=np.uint32)
    assert locate(rows, files) == [("a", 0), ("a", 1), ("c", 0), ("c", 1), ("c", 2)]
