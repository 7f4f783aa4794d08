"""`sluice audit`: an export verifies as it was written, and each kind of tampering is named."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sluice.core.control.audit import BEFORE_THE_FIRST, Entry, hash_text
from tests.cli.conftest import Run
from tests.support import admin_documents as documents
from tests.support.played_admin import PlayedAdmin

Shown = pytest.CaptureFixture[str]
ENTRIES = documents.entries(7)
ITEMS = documents.audit_items(ENTRIES)
LAST = f"7:{ENTRIES[6].hash}"


def write_lines(path: Path, lines: list[bytes]) -> str:
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return str(path)


def lines_of(entries: list[Entry]) -> list[bytes]:
    return [f"{entry.hash} ".encode() + entry.text for entry in entries]


def test_an_export_has_every_page_and_verifies(api: PlayedAdmin, run: Run, tmp_path: Path, capsys: Shown) -> None:
    file = tmp_path / "audit.txt"
    api.then(200, documents.page(ITEMS[:4], "c")).then(200, documents.page(ITEMS[4:]))
    assert run("audit", "export", str(file)) == 0
    assert LAST in capsys.readouterr().out
    assert file.read_bytes().split(b"\n") == [*lines_of(ENTRIES), b""]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("audit")] == ["audit.txt"]
    assert run("audit", "verify", str(file), "--checkpoint", f"3:{ENTRIES[2].hash}", "--checkpoint", LAST) == 0
    assert capsys.readouterr().out.splitlines()[::2] == ["All 7 entries are sound.", LAST]
    assert run("audit", "verify", str(file), "--json") == 0
    last = {"number": 7, "hash": ENTRIES[6].hash}
    assert json.loads(capsys.readouterr().out) == {"sound": True, "entries": 7, "last": last}


def test_as_json_an_export_says_where_it_is_and_its_last_entry(
    api: PlayedAdmin, run: Run, tmp_path: Path, capsys: Shown
) -> None:
    file = str(tmp_path / "audit.txt")
    api.then(200, documents.page(ITEMS)).then(200, documents.page([]))
    assert run("audit", "export", file, "--json") == 0
    last = {"number": 7, "hash": ENTRIES[6].hash}
    assert json.loads(capsys.readouterr().out) == {"file": file, "entries": 7, "last": last}
    assert run("audit", "export", file, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"file": file, "entries": 0, "last": None}
    assert run("audit", "verify", file) == 0
    assert capsys.readouterr().out.startswith("All 0 entries are sound.\nOnly checkpoints show")


def test_an_export_that_fails_leaves_the_earlier_one(api: PlayedAdmin, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "audit.txt"
    file.write_text("earlier")
    api.then(200, documents.page(ITEMS[:4], "c")).then(403, {"message": "Forbidden"})
    assert run("audit", "export", str(file)) == 2
    assert file.read_text() == "earlier"
    assert list(tmp_path.glob("*.new")) == []


def test_a_file_that_cannot_be_written_or_read_is_named(
    api: PlayedAdmin, run: Run, tmp_path: Path, capsys: Shown
) -> None:
    file = str(tmp_path / "nowhere" / "audit.txt")
    assert run("audit", "export", file) == 2
    assert f"{file} cannot be written: No such file or directory" in capsys.readouterr().err
    assert run("audit", "verify", file) == 2
    assert f"{file} cannot be read: No such file or directory" in capsys.readouterr().err
    assert api.requests == []


def edit(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], lines[2].replace(b"person-1", b"person-0"), *lines[3:]]


def edit_with_a_new_hash(lines: list[bytes]) -> list[bytes]:
    text = lines[2].partition(b" ")[2].replace(b"person-1", b"person-0")
    return [*lines[:2], hash_text(text).encode() + b" " + text, *lines[3:]]


def delete(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], *lines[3:]]


def swap(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], lines[3], lines[2], *lines[4:]]


def repeat(lines: list[bytes]) -> list[bytes]:
    return [*lines[:3], lines[2], *lines[3:]]


def cut_off_the_end(lines: list[bytes]) -> list[bytes]:
    return lines[:-2]


def cut_a_line(lines: list[bytes]) -> list[bytes]:
    return [*lines[:-1], lines[-1][:-10]]


def spoil(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], b"\xff no entry \x1b[2J", *lines[3:]]


def empty_a_line(lines: list[bytes]) -> list[bytes]:
    return [*lines[:2], b"", *lines[2:]]


def write_anew(lines: list[bytes]) -> list[bytes]:
    previous, anew = BEFORE_THE_FIRST, []
    for line in lines:
        before = json.loads(line.partition(b" ")[2])["previous"]
        text = line.partition(b" ")[2].replace(before.encode(), previous.encode()).replace(b"person-1", b"person-0")
        previous = hash_text(text)
        anew.append(previous.encode() + b" " + text)
    return anew


@pytest.mark.parametrize(
    ("tamper", "entry", "says"),
    [
        (edit, 3, "its text does not match its hash: it was edited"),
        (edit_with_a_new_hash, 4, "it does not follow entry 3: one of the two was replaced"),
        (delete, 3, "it is missing: entry 4 stands in its place"),
        (swap, 3, "it stands after a later one: entries were moved"),
        (repeat, 4, "entry 3 stands in its place: entries were repeated or moved"),
        (cut_off_the_end, 6, "it is missing, like all after it: a checkpoint knows entry 7"),
        (cut_a_line, 7, "its text does not match its hash"),
        (spoil, 3, "its text does not match its hash"),
        (empty_a_line, 3, "its text does not match its hash"),
        (write_anew, 1, "entries up to 7 were rewritten: checkpoint 7 differs"),
    ],
)
def test_tampering_is_named_with_the_first_bad_entry(
    tamper: Callable[[list[bytes]], list[bytes]], entry: int, says: str, run: Run, tmp_path: Path, capsys: Shown
) -> None:
    file = write_lines(tmp_path / "audit.txt", tamper(lines_of(ENTRIES)))
    assert run("audit", "verify", file, "--checkpoint", LAST) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert f"entry {entry}: {says}" in said.err
    assert run("audit", "verify", file, "--checkpoint", LAST, "--json") == 1
    shown = json.loads(capsys.readouterr().out)
    assert (shown["sound"], shown["entry"]) == (False, entry)
    assert says in shown["why"]


def test_without_a_checkpoint_a_missing_end_is_not_seen(run: Run, tmp_path: Path, capsys: Shown) -> None:
    file = write_lines(tmp_path / "audit.txt", cut_off_the_end(lines_of(ENTRIES)))
    assert run("audit", "verify", file) == 0
    assert f"5:{ENTRIES[4].hash}" in capsys.readouterr().out


@pytest.mark.parametrize("given", ["7", "0:" + "a" * 64, "7:abc", f"seven:{'a' * 64}", f"7:{'A' * 64}"])
def test_what_is_no_checkpoint_is_refused(given: str, run: Run, tmp_path: Path, capsys: Shown) -> None:
    file = write_lines(tmp_path / "audit.txt", lines_of(ENTRIES))
    assert run("audit", "verify", file, "--checkpoint", given) == 2
    assert f"{given!r} is no checkpoint: it is NUMBER:HASH" in capsys.readouterr().err


def test_checkpoints_that_contradict_each_other_are_refused(run: Run, tmp_path: Path, capsys: Shown) -> None:
    file = write_lines(tmp_path / "audit.txt", lines_of(ENTRIES))
    assert run("audit", "verify", file, "--checkpoint", LAST, "--checkpoint", f"7:{'a' * 64}") == 2
    assert "two checkpoints differ about entry 7" in capsys.readouterr().err


def test_the_newest_entries_are_listed_with_who_changed_what(api: PlayedAdmin, run: Run, capsys: Shown) -> None:
    for _ in range(2):
        # The next page is not asked for.
        api.then(200, documents.page(ITEMS[:3:-1], "c"))
    assert run("audit", "list", "--last", "2") == 0
    head, _, sixth = csv.reader(io.StringIO(capsys.readouterr().out))
    assert head == ["number", "at", "principal", "action", "target", "details"]
    assert sixth == [
        "6",
        "2026-11-20 09:30:00",
        "person-0 (admin)",
        "fleet.change",
        "fleet/f-6",
        "events per second 6 -> 7.5; reason: größer\n\u2028",
    ]
    assert run("audit", "list", "--last", "2", "--json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed == {"items": ITEMS[:4:-1]}
    for item in listed["items"]:
        documents.check(item, "AuditEntry")


def test_the_entries_of_one_target_are_listed(api: PlayedAdmin, run: Run, capsys: Shown) -> None:
    api.then(200, documents.page(ITEMS))
    assert run("audit", "list", "--target", "fleet/f-3", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"items": [ITEMS[2]]}


@pytest.mark.parametrize(
    ("principal", "shown"),
    [
        ("arn:aws:sts::123456789012:assumed-role/sluice-prod-admin/someone@example.org", "someone@example.org (admin)"),
        ("arn:aws:iam::123456789012:user/someone", "someone (user)"),
        ("arn:aws:iam::123456789012:root", "root"),
    ],
)
def test_a_principal_is_shown_as_the_person_and_the_role(
    principal: str, shown: str, api: PlayedAdmin, run: Run, capsys: Shown
) -> None:
    entry = json.loads(ENTRIES[0].text) | {"principal": principal, "reason": None}
    api.then(200, documents.page([ITEMS[0] | {"entry": json.dumps(entry)}]))
    assert run("audit", "list") == 0
    assert f",{shown},fleet.change,fleet/f-1,events per second 1 -> 2.5\n" in capsys.readouterr().out
