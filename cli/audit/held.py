"""Checkpoints that a verifier holds: signed ones in a folder, each verified with the public key, or noted ones."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from cli.audit.signatures import PublicKey, load_key
from cli.stages import CommandError
from sluice.core.control.checkpoints import BadCheckpoint, Signed, read_document
from sluice.core.control.verification import Checkpoint


def read_held(folder: Path, key: PublicKey) -> list[Signed]:
    """Read the checkpoints of a folder, the newest first; the first bad one is named."""
    try:
        files = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.suffix == ".json"}
    except OSError as error:
        raise CommandError(f"{folder} cannot be read: {error.strerror}", 2) from error
    held = sorted(_read(files, key), key=lambda each: (each.number, each.signed_at), reverse=True)
    for newer, older in pairwise(held):
        if newer.number == older.number and newer.hash != older.hash:
            raise BadCheckpoint(f"the checkpoints of entry {newer.number} differ: the audit was rewritten between them")
    return held


def read_signed(folder: Path | None, public_key: Path | None) -> list[Signed]:
    """Read the checkpoints that a command names, the newest first."""
    if folder is None and public_key is None:
        return []
    if folder is None or public_key is None:
        raise CommandError("--checkpoints and --public-key go together: a checkpoint proves nothing without its key", 2)
    held = read_held(folder, load_key(public_key))
    if not held:
        raise CommandError(f"there are no checkpoints in {folder}; `sluice audit checkpoints` downloads them", 2)
    return held


def read_marks(given: Sequence[str]) -> list[Checkpoint]:
    """Read checkpoints as a person keeps them, NUMBER:HASH."""
    found = []
    for text in given:
        parts = re.fullmatch(r"(\d{1,18}):([0-9a-f]{64})", text)
        if parts is None or not int(parts[1]):
            raise CommandError(f"{text!r} is no checkpoint: it is NUMBER:HASH, as verify and export print it", 2)
        found.append(Checkpoint(int(parts[1]), parts[2]))
    return found


def merge(given: Sequence[Checkpoint]) -> list[Checkpoint]:
    """Take each checkpoint once; two that differ about an entry are refused."""
    found: dict[int, Checkpoint] = {}
    for each in given:
        if found.setdefault(each.number, each) != each:
            raise CommandError(f"two checkpoints differ about entry {each.number}: they are not of the same audit", 2)
    return list(found.values())


def _read(files: dict[str, bytes], key: PublicKey) -> Iterator[Signed]:
    for name, data in files.items():
        try:
            yield _verify(data, key)
        except BadCheckpoint as error:
            raise BadCheckpoint(f"{name}: {error}") from error


def _verify(data: bytes, key: PublicKey) -> Signed:
    document, signed = read_document(data, key.stage)
    if not key.is_named(document.key):
        raise BadCheckpoint(f"an unknown key signed it: {document.key}, and not {key.key}")
    if not key.verifies(document.text, document.read_signature()):
        raise BadCheckpoint("its signature does not match: it was altered, or another key signed it")
    return signed
