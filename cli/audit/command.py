"""`sluice audit`: who changed what, and whether anyone altered that since."""

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from cli.audit.exported import ExportedEntries, Item, write_export
from cli.control.client import Client
from cli.control.options import AsJson, AsRole, connect
from cli.control.output import show_json, write
from cli.functions import read_answer
from cli.stages import CommandError, Directory, Stage, choose
from cli.terminal import print_table
from sluice.core.control.verification import Broken, Checkpoint, verify

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Show who changed which fleet or key, and whether anyone altered that since.",
)

COLUMNS = ("number", "at", "principal", "action", "target", "details")


@app.command("list")
def list_entries(
    target: Annotated[
        str, typer.Option(metavar="TARGET", help="Only of this target, such as fleet/demo. Without: of all.")
    ] = "",
    last: Annotated[int, typer.Option(metavar="NUMBER", min=1, help="How many of the newest entries.")] = 50,
    stage: Stage = "",
    directory: Directory = None,
    role: AsRole = None,
    as_json: AsJson = False,
) -> None:
    """List the newest entries, the newest first.

    The JSON has them as items, each an AuditEntry of schemas/admin.yaml.
    """
    listed = ((item, _read(item)) for item in _list(connect(choose(stage, directory), role), order="newest"))
    newest = list(islice(((item, entry) for item, entry in listed if target in ("", entry.target)), last))
    if as_json:
        show_json({"items": [msgspec.to_builtins(item) for item, _ in newest]})
    else:
        print_table(COLUMNS, (entry.cells() for _, entry in newest))


@app.command()
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where to write it. An earlier export is replaced.")],
    stage: Stage = "",
    directory: Directory = None,
    role: AsRole = None,
    as_json: AsJson = False,
) -> None:
    """Write the whole audit to a file.

    The file has a line for each entry: its hash, a space, and its text as it was hashed.

    The JSON is `{"file": "audit.txt", "entries": 7, "last": {"number": 7, "hash": "..."}}`. Without entries, last is
    null.
    """
    try:
        last = write_export(_list(connect(choose(stage, directory), role)), file)
    except OSError as error:
        raise CommandError(f"{file} cannot be written: {error.strerror}", 2) from error
    entries = last.number if last else 0
    if as_json:
        show_json({"file": str(file), "entries": entries, "last": msgspec.to_builtins(last)})
    else:
        print(f"{file} has {entries:,} entries. Verify it with `sluice audit verify {file}`.")
        _print_checkpoint(last)


@app.command("verify")
def verify_export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `sluice audit export` wrote.")],
    checkpoint: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NUMBER:HASH",
            help="The hash that an entry had before, as export and verify print it. May be repeated. Only a checkpoint"
            " shows that the newest entries are missing, or that the audit was rewritten.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Verify an exported audit, offline.

    It names the first entry that was edited, deleted or moved, and then ends with status 1.

    The JSON is `{"sound": true, "entries": 7, "last": {"number": 7, "hash": "..."}}`, where last is null without
    entries, or `{"sound": false, "entry": 3, "why": "..."}`.
    """
    checkpoints = _read_checkpoints(checkpoint or [])
    try:
        with file.open("rb") as lines:
            exported = ExportedEntries(lines)
            entries = verify(exported, checkpoints)
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}", 2) from error
    except Broken as broken:
        if as_json:
            show_json({"sound": False, "entry": broken.number, "why": str(broken)})
        raise CommandError(f"{file} is not the audit as it was written: {broken}") from broken
    if as_json:
        show_json({"sound": True, "entries": entries, "last": msgspec.to_builtins(exported.last)})
    else:
        print(f"All {entries:,} entries are sound.")
        if not checkpoints:
            print("Only a --checkpoint shows whether newer entries were cut off, or the audit was rewritten.")
        _print_checkpoint(exported.last)


class _Difference(msgspec.Struct):
    before: Any
    after: Any


class _Entry(msgspec.Struct):
    """An entry's text, as people read it."""

    number: int
    at: str
    principal: str
    action: str
    target: str
    changes: dict[str, _Difference]
    reason: str | None

    def cells(self) -> Sequence[str]:
        """Write the columns of its row."""
        # The person of arn:...:assumed-role/sluice-<stage>-<role>/<person> first: a narrow column cuts what is long.
        kind, _, person = self.principal.rpartition(":")[2].rpartition("/")
        role = re.sub(r".*/|sluice-[a-z0-9]+-", "", kind)
        # What was made has no values before; `show` has its fields.
        details = [
            f"{name.replace('_', ' ')} {write(change.before)} -> {write(change.after)}"
            for name, change in self.changes.items()
            if change.before is not None
        ]
        if self.reason is not None:
            details.append(f"reason: {self.reason}")
        at = self.at[:19].replace("T", " ")
        who = f"{person} ({role})" if role else person
        return (str(self.number), at, who, self.action, self.target, "; ".join(details))


def _list(client: Client, **parameters: str) -> Iterator[Item]:
    return (read_answer(item, Item) for item in client.list("audit", **parameters))


def _read(item: Item) -> _Entry:
    try:
        return msgspec.json.decode(item.entry, type=_Entry)
    except (msgspec.DecodeError, RecursionError) as error:
        raise CommandError(f"this release cannot read entry {item.number} of the audit: {error}") from error


def _print_checkpoint(last: Checkpoint | None) -> None:
    if last is not None:
        print("Keep this checkpoint of the newest entry outside the database:")
        print(f"{last.number}:{last.hash}")


def _read_checkpoints(given: Sequence[str]) -> list[Checkpoint]:
    found: dict[int, str] = {}
    for text in given:
        parts = re.fullmatch(r"(\d{1,18}):([0-9a-f]{64})", text)
        if parts is None or not int(parts[1]):
            raise CommandError(f"{text!r} is no checkpoint: it is NUMBER:HASH, as verify and export print it", 2)
        if found.setdefault(int(parts[1]), parts[2]) != parts[2]:
            raise CommandError(f"two checkpoints differ about entry {parts[1]}: they are not of the same audit", 2)
    return [Checkpoint(number, digest) for number, digest in found.items()]
