"""`sluice audit`: who changed what, and whether anyone altered that since."""

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from cli.audit.exported import ExportedEntries, Item, write_export
from cli.audit.fetching import PUBLIC_KEY, fetch, find_source
from cli.audit.held import merge, read_held, read_marks, read_signed
from cli.audit.signatures import load_key
from cli.control.client import Client
from cli.control.options import AsJson, AsRole, connect
from cli.control.output import show_json, write
from cli.functions import read_answer
from cli.stages import CommandError, Directory, Stage, choose
from cli.terminal import print_table
from sluice.core.control.checkpoints import BadCheckpoint, Signed
from sluice.core.control.verification import Broken, Checkpoint, CutOff, verify
from sluice.core.times import write_time

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Show who changed which fleet, key or rule, and whether anyone altered that since.",
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
        print(f"{file} has {entries:,} entries. Verify it with `sluice audit verify {file}`,")
        print("with --checkpoints and --public-key if `sluice audit checkpoints` has downloaded them.")
        _print_checkpoint(last)


@app.command("checkpoints")
def fetch_checkpoints(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to keep them. What is there stays.")],
    last: Annotated[int, typer.Option(metavar="NUMBER", min=1, help="How many of the newest checkpoints.")] = 100,
    stage: Stage = "",
    directory: Directory = None,
    role: AsRole = None,
    as_json: AsJson = False,
) -> None:
    """Download signed checkpoints of the audit.

    Beside them it writes public-key.pem, the key that verifies them offline. Download checkpoints before you export
    the audit: a checkpoint that is newer than the export looks as if entries were cut off.

    The JSON is `{"folder": "held", "new": 2, "held": 5, "newest": {"number": 7, "hash": "...", "signed_at": "..."}}`.
    Without checkpoints, newest is null.
    """
    new = fetch(find_source(choose(stage, directory), role), folder, last)
    try:
        held = read_held(folder, load_key(folder / PUBLIC_KEY))
    except BadCheckpoint as error:
        raise CommandError(f"{folder} has a bad checkpoint: {error}") from error
    if as_json:
        newest = _describe(held[0]) if held else None
        show_json({"folder": str(folder), "new": new, "held": len(held), "newest": newest})
    else:
        print(f"{folder} has {len(held):,} checkpoints; {new:,} are new.")
        if held:
            print(f"The newest is of entry {held[0].number}, signed at {write_time(held[0].signed_at)}.")


@app.command("verify")
def verify_export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `sluice audit export` wrote.")],
    checkpoints: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="What `sluice audit checkpoints` downloaded before the export. Needs --public-key."
        ),
    ] = None,
    public_key: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The public key of the stage's checkpoints, from where you keep it."),
    ] = None,
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

    It names the first entry that was edited, deleted or moved, or a checkpoint that is none, and then ends with
    status 1.

    The JSON is `{"sound": true, "entries": 7, "last": {"number": 7, "hash": "..."}}`, where last is null without
    entries. With --checkpoints, `signed` is the newest of them, with `number`, `hash` and `signed_at`. Or it is
    `{"sound": false, "entry": 3, "why": "..."}`, where entry is null if a checkpoint is bad.
    """
    given = read_marks(checkpoint or [])
    try:
        held = read_signed(checkpoints, public_key)
        marks = merge([*given, *(each.checkpoint for each in held)])
        with file.open("rb") as lines:
            exported = ExportedEntries(lines)
            entries = verify(exported, marks)
    except OSError as error:
        raise CommandError(f"{file} cannot be read: {error.strerror}", 2) from error
    except Broken as broken:
        if as_json:
            show_json({"sound": False, "entry": broken.number, "why": str(broken)})
        late = "; export it again if the export is older than that checkpoint" if isinstance(broken, CutOff) else ""
        raise CommandError(f"{file} is not the audit as it was written: {broken}{late}") from broken
    except BadCheckpoint as error:
        if as_json:
            show_json({"sound": False, "entry": None, "why": str(error)})
        raise CommandError(f"{checkpoints} has a bad checkpoint: {error}") from error
    if as_json:
        signed = {"signed": _describe(held[0])} if held else {}
        show_json({"sound": True, "entries": entries, "last": msgspec.to_builtins(exported.last), **signed})
    else:
        print(f"All {entries:,} entries are sound.")
        _print_cover(entries, held)
        if not marks:
            print("Only checkpoints show whether newer entries were cut off, or the audit was rewritten:")
            print("`sluice audit checkpoints` downloads them.")
        if not held:
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


def _print_cover(entries: int, held: Sequence[Signed]) -> None:
    if held:
        newest = held[0]
        print(f"The checkpoint signed at {write_time(newest.signed_at)} covers entries up to {newest.number:,}.")
        if entries > newest.number:
            print(f"No checkpoint covers the newer ones, {entries - newest.number:,} in all.")


def _describe(signed: Signed) -> dict[str, Any]:
    return {"number": signed.number, "hash": signed.hash, "signed_at": write_time(signed.signed_at)}
