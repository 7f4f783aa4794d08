"""`sluice key`: a key's text goes to standard output, once, and nowhere else."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.support import admin_documents as documents
from tests.support.admin_documents import KEY_ID
from tests.support.played_admin import PlayedAdmin

Shown = pytest.CaptureFixture[str]
TEXT: str = documents.made_key()["key"]


def test_keys_are_listed_without_their_texts(api: PlayedAdmin, run: Run, capsys: Shown) -> None:
    api.then(200, documents.page([documents.key()])).then(200, documents.page([documents.key()]))
    assert run("key", "list", "demo") == 0
    assert capsys.readouterr().out == f"key id,role,state,expires at,successor\n{KEY_ID},device,active,,\n"
    assert run("key", "list", "demo", "--json") == 0
    (item,) = json.loads(capsys.readouterr().out)["items"]
    documents.check(item, "Key")
    assert api.requests[0].path == "/v1/admin/fleets/demo/keys"


def test_a_key_is_shown_with_all_its_fields(api: PlayedAdmin, run: Run, capsys: Shown) -> None:
    api.then(200, documents.key()).then(200, documents.key())
    assert run("key", "show", "demo", KEY_ID) == 0
    assert f"key_id,{KEY_ID}\n" in capsys.readouterr().out
    assert run("key", "show", "demo", KEY_ID, "--json") == 0
    documents.check(json.loads(capsys.readouterr().out), "Key")
    assert api.requests[0].path == f"/v1/admin/fleets/demo/keys/{KEY_ID}"


def test_a_new_keys_text_is_alone_on_standard_output(api: PlayedAdmin, run: Run, tmp_path: Path, capsys: Shown) -> None:
    api.then(201, documents.made_key())
    assert run("key", "create", "demo", "--role", "reader", "--expires-in-days", "30") == 0
    said = capsys.readouterr()
    assert said.out == f"{TEXT}\n"
    assert TEXT not in said.err
    assert "is for a reader and works until 2027-02-18T09:30:00.000000Z." in said.err
    assert "it is not shown again" in said.err
    assert [path for path in tmp_path.rglob("*") if TEXT in path.read_text()] == []
    asked = json.loads(api.requests[0].body)
    assert asked == {"role": "reader", "expires_in_days": 30.0}
    documents.check(asked, "NewKey")


def test_as_json_a_new_key_has_its_text_once(api: PlayedAdmin, run: Run, capsys: Shown) -> None:
    api.then(201, documents.made_key())
    assert run("key", "create", "demo", "--role", "reader", "--json") == 0
    said = capsys.readouterr()
    documents.check(json.loads(said.out), "MadeKey")
    assert json.loads(said.out)["key"] == TEXT
    assert (said.out + said.err).count(TEXT) == 1
    assert json.loads(api.requests[0].body) == {"role": "reader"}


def test_a_rotation_hands_over_the_successor_and_names_the_end_of_the_old_key(
    api: PlayedAdmin, run: Run, capsys: Shown
) -> None:
    api.then(201, documents.rotated_key()).then(201, documents.rotated_key())
    assert run("key", "rotate", "demo", KEY_ID) == 0
    said = capsys.readouterr()
    assert said.out == documents.rotated_key()["key"] + "\n"
    assert f"Key {KEY_ID}, which it replaces, works until 2026-11-27T09:30:00.000000Z." in said.err
    assert "does not expire" in said.err
    assert run("key", "rotate", "demo", KEY_ID, "--json") == 0
    documents.check(json.loads(capsys.readouterr().out), "MadeKey")
    assert (api.requests[0].path, api.requests[0].body) == (f"/v1/admin/fleets/demo/keys/{KEY_ID}/rotate", b"")
    assert "idempotency-key" in api.requests[0].headers


@pytest.mark.parametrize(
    ("arguments", "answer", "says"),
    [
        (["create", "demo", "--role", "reader"], documents.made_key(shown=False), f"sluice key revoke demo {'n' * 16}"),
        (["rotate", "demo", KEY_ID], documents.rotated_key(shown=False), f"sluice key rotate demo {'r' * 16}"),
    ],
)
def test_a_text_that_was_lost_with_its_answer_says_how_to_get_another_key(
    arguments: list[str], answer: Any, says: str, api: PlayedAdmin, run: Run, capsys: Shown
) -> None:
    api.then(None).then(201, answer)
    assert run("key", *arguments) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert "the answer with its text was lost" in said.err
    assert says in said.err


def test_a_dry_run_makes_no_key(api: PlayedAdmin, run: Run, capsys: Shown) -> None:
    api.then(200, documents.would("key.create", "key/x", role=(None, "device")))
    assert run("key", "create", "demo", "--role", "device", "--dry-run") == 0
    said = capsys.readouterr()
    assert said.out == "would,target,field,before,after\nkey.create,key/x,role,,device\n"
    assert said.err == ""
    assert api.requests[0].query == {"dry_run": "true"}


def test_without_a_terminal_revoking_needs_yes(api: PlayedAdmin, run: Run, capsys: Shown) -> None:
    assert run("key", "revoke", "demo", KEY_ID, "--reason", "leaked") == 2
    assert "repeat the command with --yes" in capsys.readouterr().err
    assert api.requests == []


@pytest.mark.parametrize(("typed", "status"), [("n\n", 2), ("y\n", 0)])
def test_at_a_terminal_revoking_asks_first(
    typed: str, status: int, api: PlayedAdmin, run: Run, typing: Callable[[str], None], capsys: Shown
) -> None:
    typing(typed)
    if status == 0:
        api.then(200, documents.key())
    assert run("key", "revoke", "demo", KEY_ID, "--reason", "leaked") == status
    assert f"Revoke key {KEY_ID} of fleet demo?" in capsys.readouterr().err
    assert len(api.requests) == (status == 0)


def test_revoking_with_yes_sends_the_reason(api: PlayedAdmin, run: Run, capsys: Shown) -> None:
    api.then(200, documents.key())
    assert run("key", "revoke", "demo", KEY_ID, "--reason", "leaked", "--yes", "--json") == 0
    documents.check(json.loads(capsys.readouterr().out), "Key")
    (request,) = api.requests
    assert json.loads(request.body) == {"reason": "leaked"}
    assert request.path == f"/v1/admin/fleets/demo/keys/{KEY_ID}/revoke"


def test_a_dry_run_of_a_revoked_key_says_that_nothing_would_change(api: PlayedAdmin, run: Run, capsys: Shown) -> None:
    api.then(200, {"dry_run": True, "would": []})
    assert run("key", "revoke", "demo", KEY_ID, "--reason", "leaked", "--dry-run") == 0
    assert capsys.readouterr().out == "Nothing would change.\n"


def test_a_keys_text_in_place_of_its_id_is_neither_sent_nor_repeated(api: PlayedAdmin, run: Run, capsys: Shown) -> None:
    assert run("key", "revoke", "demo", TEXT, "--reason", "leaked", "--yes") == 2
    said = "".join(capsys.readouterr())
    assert "and never its text" in said
    assert TEXT not in said
    assert api.requests == []
