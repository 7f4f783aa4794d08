"""The public key that verifies checkpoints, as a file: PEM, and above it whose key it is."""

import base64
import binascii
import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cli.stages import CommandError

_FILE = re.compile(
    r"(?:Stage: (?P<stage>\S+)\n)?(?:Key: (?P<key>\S+)\n)?"
    r"-----BEGIN PUBLIC KEY-----\n(?P<der>[\w+/=\n]+)-----END PUBLIC KEY-----\n?"
)


@dataclass(frozen=True)
class PublicKey:
    """A key, and the stage whose checkpoints it signs; a file in plain PEM names neither."""

    stage: str | None
    key: str | None
    verifies: Callable[[bytes, bytes], bool]
    """Says whether this key signed a text."""

    def is_named(self, key: str) -> bool:
        """Return whether a checkpoint names this key."""
        # The ARN ends in the key's id.
        return self.key is None or key.rpartition("/")[2] == self.key.rpartition("/")[2]


def write_key(stage: str, key: str, der: bytes) -> str:
    """Write a public key as a file."""
    lines = "\n".join(textwrap.wrap(base64.b64encode(der).decode(), 64))
    return f"Stage: {stage}\nKey: {key}\n-----BEGIN PUBLIC KEY-----\n{lines}\n-----END PUBLIC KEY-----\n"


def load_key(path: Path) -> PublicKey:
    """Read a public key from its file."""
    try:
        found = _FILE.fullmatch(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"the public key {path} cannot be read: {error}", 2) from error
    if found is None:
        raise CommandError(f"{path} is no public key: it is PEM, as `sluice audit checkpoints` writes it", 2)
    return PublicKey(found["stage"], found["key"], _verifier(path, found["der"]))


def _verifier(path: Path, encoded: str) -> Callable[[bytes, bytes], bool]:
    # Imported here: only commands that verify signatures need it.
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    try:
        key = load_der_public_key(base64.b64decode(encoded))
    except (ValueError, binascii.Error, UnsupportedAlgorithm) as error:
        raise CommandError(f"{path} is no public key: {error}", 2) from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise CommandError(f"{path} is another kind of key: checkpoints are signed with ECDSA on P-256", 2)

    def verifies(text: bytes, signature: bytes) -> bool:
        try:
            key.verify(signature, text, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True

    return verifies
