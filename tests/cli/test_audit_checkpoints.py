"""`sluice audit`: signed checkpoints are downloaded, and an export is verified with them, offline."""

import json
import subprocess
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.credentials import ReadOnlyCredentials
from cryptography.hazmat.primitives.asymmetric import ec

from cli.audit.fetching import find_source
from cli.control.address import AdminApi
from cli.stages import Target
from local.models.aws_client import aws_client
from sluice.core.control.audit import Entry
from sluice.core.control.checkpoints import Signed, write_document
from sluice.edge.control.checkpoint_bucket import CheckpointBucket
from sluice.edge.control.signing import Signer
from tests.cli.conftest import Run
from tests.local.emulation import emulated_aws
from tests.support import admin_documents as documents
from tests.support.signed_checkpoints import NOW, Key

Shown = pytest.CaptureFixture[str]
ENTRIES = documents.entries(7)


@pytest.fixture
def export(tmp_path: Path) -> Path:
    return write_export(tmp_path / "audit.txt", ENTRIES)


def write_export(path: Path, entries: list[Entry]) -> Path:
    path.write_bytes(b"".join(f"{entry.hash} ".encode() + entry.text + b"\n" for entry in entries))
    return path


@pytest.fixture
def key() -> Key:
    return Key()


@pytest.fixture
def held(tmp_path: Path, key: Key) -> Path:
    """A folder of two checkpoints, of entries 3 and 6."""
    folder = tmp_path / "held"
    folder.mkdir()
    for number in (3, 6):
        at = NOW + timedelta(minutes=number)
        (folder / f"{number}.json").write_bytes(key.sign(ENTRIES[number - 1], at))
    key.write(folder / "public-key.pem")
    return folder


def verify(run: Run, export: Path, held: Path, *more: str, key: Path | None = None) -> int:
    public = str(key or held / "public-key.pem")
    return run("audit", "verify", str(export), "--checkpoints", str(held), "--public-key", public, *more)


def test_an_export_is_verified_with_signed_checkpoints(run: Run, export: Path, held: Path, capsys: Shown) -> None:
    assert verify(run, export, held) == 0
    assert capsys.readouterr().out.splitlines() == [
        "All 7 entries are sound.",
        "The checkpoint signed at 2026-11-29T12:06:00.000000Z covers entries up to 6.",
        "No checkpoint covers the newer ones, 1 in all.",
    ]
    assert verify(run, export, held, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "sound": True,
        "entries": 7,
        "last": {"number": 7, "hash": ENTRIES[6].hash},
        "signed": {"number": 6, "hash": ENTRIES[5].hash, "signed_at": "2026-11-29T12:06:00.000000Z"},
    }


def anew(length: int) -> list[Entry]:
    """Another audit, as someone writes it who may write the whole table."""
    return documents.entries(length, reason="another")


@pytest.mark.parametrize(
    ("entries", "entry", "says"),
    [
        (ENTRIES[:5], 6, "entry 6: it is missing, like all after it: a checkpoint knows entry 6"),
        ([], 1, "entry 1: it is missing, like all after it: a checkpoint knows entry 6"),
        (anew(7), 1, "entry 1: entries up to 3 were rewritten: checkpoint 3 differs"),
        (ENTRIES[:1] + ENTRIES[2:], 2, "entry 2: it is missing: entry 3 stands in its place"),
    ],
)
def test_an_export_that_a_checkpoint_contradicts_is_named(
    run: Run, tmp_path: Path, held: Path, entries: list[Entry], entry: int, says: str, capsys: Shown
) -> None:
    export = write_export(tmp_path / "tampered.txt", entries)
    assert verify(run, export, held, "--json") == 1
    shown = capsys.readouterr()
    assert says in shown.err
    assert json.loads(shown.out) == {"sound": False, "entry": entry, "why": says}


def rehash(document: dict[str, Any]) -> dict[str, Any]:
    return document | {"checkpoint": document["checkpoint"].replace(ENTRIES[5].hash, "0" * 64)}


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (rehash, "6.json: its signature does not match: it was altered, or another key signed it"),
        (lambda document: document | {"signature": "AAAA"}, "6.json: its signature does not match"),
        (lambda document: document | {"signature": "?"}, "6.json: its signature is not base64"),
        (lambda document: document | {"key": "arn:aws:kms:x:1:key/theirs"}, "6.json: an unknown key signed it: arn"),
        (lambda document: document | {"checkpoint": "{}"}, "6.json: it cannot be read"),
        (lambda _: json.loads(Key("theirs").sign(ENTRIES[5])), "6.json: an unknown key signed it: arn"),
        (lambda _: json.loads(Key("ours").sign(ENTRIES[5])), "6.json: its signature does not match"),
    ],
)
def test_a_bad_checkpoint_is_named(
    run: Run, export: Path, held: Path, spoil: Callable[[Any], Any], says: str, capsys: Shown
) -> None:
    file = held / "6.json"
    file.write_text(json.dumps(spoil(json.loads(file.read_bytes()))))
    assert verify(run, export, held, "--json") == 1
    shown = capsys.readouterr()
    assert f"{held} has a bad checkpoint: {says}" in shown.err
    document = json.loads(shown.out)
    assert (document["sound"], document["entry"]) == (False, None)
    assert document["why"].startswith(says)


def test_a_checkpoint_of_another_stage_is_named(run: Run, export: Path, held: Path, key: Key, capsys: Shown) -> None:
    (held / "6.json").write_bytes(key.sign(ENTRIES[5], stage="dev"))
    assert verify(run, export, held) == 1
    assert "6.json: it is of stage 'dev', and not of 'prod'" in capsys.readouterr().err


def test_checkpoints_of_a_rewritten_audit_contradict_the_older_ones(
    run: Run, export: Path, held: Path, key: Key, capsys: Shown
) -> None:
    (held / "7.json").write_bytes(key.sign(anew(6)[5]))
    assert verify(run, export, held) == 1
    assert "the checkpoints of entry 6 differ: the audit was rewritten between them" in capsys.readouterr().err


def test_a_key_in_plain_pem_verifies_too(run: Run, export: Path, held: Path, tmp_path: Path) -> None:
    text = (held / "public-key.pem").read_text()
    plain = tmp_path / "plain.pem"
    plain.write_text(text[text.index("-----BEGIN") :])
    assert verify(run, export, held, key=plain) == 0


def test_openssl_reads_the_public_key(held: Path) -> None:
    text = (held / "public-key.pem").read_text()
    openssl = ["openssl", "pkey", "-pubin", "-text", "-noout"]
    try:
        said = subprocess.run(openssl, input=text, capture_output=True, text=True, check=True).stdout
    except FileNotFoundError:
        pytest.skip("there is no openssl here")
    assert "prime256v1" in said


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--checkpoints", "held"], "--checkpoints and --public-key go together"),
        (["--public-key", "held/public-key.pem"], "--checkpoints and --public-key go together"),
        (["--checkpoints", "nowhere", "--public-key", "held/public-key.pem"], "nowhere cannot be read"),
        (["--checkpoints", "held", "--public-key", "nowhere"], "the public key nowhere cannot be read"),
        (["--checkpoints", "held", "--public-key", "held/6.json"], "held/6.json is no public key"),
        (["--checkpoints", "held", "--public-key", "broken.pem"], "broken.pem is no public key"),
        (["--checkpoints", "held", "--public-key", "curve.pem"], "curve.pem is another kind of key"),
        (["--checkpoints", "empty", "--public-key", "held/public-key.pem"], "there are no checkpoints in empty"),
        (
            ["--checkpoints", "held", "--public-key", "held/public-key.pem", "--checkpoint", f"6:{'a' * 64}"],
            "two checkpoints differ about entry 6",
        ),
    ],
)
def test_what_the_command_cannot_use_is_named(
    run: Run,
    export: Path,
    held: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    says: str,
    capsys: Shown,
) -> None:
    assert export.parent == held.parent == tmp_path
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.pem").write_text("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
    Key(curve=ec.SECP384R1()).write(tmp_path / "curve.pem")
    assert run("audit", "verify", str(export), *options) == 2
    assert says in capsys.readouterr().err


class Stage:
    """The bucket and the key of a stage, in the emulation of AWS."""

    def __init__(self, url: str) -> None:
        self.s3, self.kms = (aws_client(service, url, "us-east-1") for service in ("s3", "kms"))
        self.s3.create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True)
        made = self.kms.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]
        self.kms.create_alias(AliasName="alias/sluice-local-checkpoints", TargetKeyId=made["KeyId"])
        self.bucket = CheckpointBucket(self.s3, "locked")
        self.signer = Signer(self.kms, "alias/sluice-local-checkpoints")

    def sign(self, entry: Entry, at: datetime) -> str:
        """Sign an entry as the function does."""
        signed = Signed(entry.hash, entry.number, at, "local")
        self.bucket.put(signed.name, write_document(signed.write(), *self.signer.sign(signed.write())))
        return signed.name


def test_checkpoints_are_downloaded_and_verify_offline(run: Run, export: Path, tmp_path: Path, capsys: Shown) -> None:
    folder = tmp_path / "held"
    with emulated_aws() as url:
        stack = json.loads((tmp_path / "stack.json").read_text()) | {"region": "us-east-1", "stage": "local"}
        stack |= {"aws": url, "buckets": {"checkpoints_bucket": "locked"}}
        (tmp_path / "stack.json").write_text(json.dumps(stack))
        stage = Stage(url)
        assert run("audit", "checkpoints", str(folder)) == 0
        assert capsys.readouterr().out == f"{folder} has 0 checkpoints; 0 are new.\n"
        first = stage.sign(ENTRIES[2], NOW)
        stage.sign(ENTRIES[5], NOW + timedelta(minutes=5))
        # Someone hides one.
        stage.s3.delete_object(Bucket="locked", Key=first)
        assert run("audit", "checkpoints", str(folder)) == 0
        assert capsys.readouterr().out.splitlines() == [
            f"{folder} has 2 checkpoints; 2 are new.",
            "The newest is of entry 6, signed at 2026-11-29T12:05:00.000000Z.",
        ]
        stage.sign(ENTRIES[6], NOW + timedelta(minutes=10))
        assert run("audit", "checkpoints", str(folder), "--last", "1", "--json") == 0
        newest = {"number": 7, "hash": ENTRIES[6].hash, "signed_at": "2026-11-29T12:10:00.000000Z"}
        assert json.loads(capsys.readouterr().out) == {"folder": str(folder), "new": 1, "held": 3, "newest": newest}
        # Someone writes over one, whose first version stays.
        stage.s3.put_object(Bucket="locked", Key=first, Body=b"nothing")
        assert run("audit", "checkpoints", str(folder)) == 1
        assert "has a bad checkpoint" in capsys.readouterr().err
        (bad,) = [path for path in folder.iterdir() if path.read_bytes() == b"nothing"]
        bad.unlink()
    assert verify(run, export, folder) == 0


def test_without_a_bucket_the_command_says_so(run: Run, tmp_path: Path, capsys: Shown) -> None:
    with emulated_aws() as url:
        stack = json.loads((tmp_path / "stack.json").read_text()) | {"region": "us-east-1", "stage": "local"}
        (tmp_path / "stack.json").write_text(
            json.dumps(stack | {"aws": url, "buckets": {"checkpoints_bucket": "locked"}})
        )
        assert run("audit", "checkpoints", str(tmp_path / "held")) == 1
    assert "AWS did not give the checkpoints out" in capsys.readouterr().err


def test_a_deployed_stage_puts_out_its_bucket_and_key(monkeypatch: pytest.MonkeyPatch) -> None:
    api = AdminApi("https://here", "eu-central-1", ReadOnlyCredentials("a", "b", "c"))
    monkeypatch.setattr("cli.audit.fetching.find_api", lambda *_: api)
    outputs = {"CheckpointsBucketName0123ABCD": "locked", "CheckpointsKeyArn89ABCDEF": "arn:aws:kms:x:1:key/k"}
    monkeypatch.setattr("cli.audit.fetching.read_outputs", lambda _: outputs)
    source = find_source(Target("prod", Path()), "auditor")
    assert (source.stage, source.bucket, source.key) == ("prod", "locked", "arn:aws:kms:x:1:key/k")
    assert {source.s3.meta.region_name, source.kms.meta.region_name} == {"eu-central-1"}
