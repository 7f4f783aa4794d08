"""An exported audit: a line for each entry, with its hash, a space and its text as it was hashed."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from sluice.core.control.audit import Entry
from sluice.core.control.verification import Checkpoint


class Item(msgspec.Struct):
    """An entry as the API lists it."""

    number: int
    entry: str
    hash: str


class ExportedEntries:
    """Reads the entries of an export one by one, and remembers the last one."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = lines
        self.last: Checkpoint | None = None

    def __iter__(self) -> Iterator[Entry]:
        number, digest = 0, b""
        for number, line in enumerate(self._lines, 1):
            # A line in another form has no text that matches its hash.
            digest, _, text = line.removesuffix(b"\n").partition(b" ")
            yield Entry(number, text, digest.decode("ascii", "replace"))
        if number:
            self.last = Checkpoint(number, digest.decode("ascii", "replace"))


def write_export(items: Iterable[Item], path: Path) -> Checkpoint | None:
    """Write entries as the API lists them, and return the last one; the file is there when it is complete."""
    new, last = path.with_name(f"{path.name}.new"), None
    try:
        with new.open("wb") as file:
            for item in items:
                file.write(f"{item.hash} {item.entry}\n".encode())
                last = Checkpoint(item.number, item.hash)
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
    return last
