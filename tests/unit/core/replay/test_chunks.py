"""Chunks hold every part of every file once, and none is larger than one invocation reads."""

from hypothesis import given
from hypothesis import strategies as st

from sluice.core.replay.chunks import FilePart, cut_chunks


def test_small_files_share_a_chunk_and_a_large_one_has_several() -> None:
    assert cut_chunks({"b": 40, "a": 50, "c": 20, "d": 250}, 100) == [
        [FilePart("a"), FilePart("b")],
        [FilePart("c")],
        [FilePart("d", 0, 3)],
        [FilePart("d", 1, 3)],
        [FilePart("d", 2, 3)],
    ]


def test_without_files_there_is_nothing_to_send() -> None:
    assert cut_chunks({}, 100) == []


@given(st.dictionaries(st.text("abc", min_size=1), st.integers(0, 1000)), st.integers(1, 300))
def test_every_part_is_in_one_chunk_and_no_chunk_is_too_large(sizes: dict[str, int], most_bytes: int) -> None:
    chunks = cut_chunks(sizes, most_bytes)
    cut = [part for chunk in chunks for part in chunk]
    whole = [(part.file, number) for part in cut if part.part == 0 for number in range(part.parts)]
    assert [(part.file, part.part) for part in cut] == whole
    assert {part.file for part in cut} == set(sizes)
    for chunk in chunks:
        # A part has a fraction of a byte more than the share that is counted for it.
        assert sum(sizes[part.file] / part.parts for part in chunk) < most_bytes + len(chunk)
