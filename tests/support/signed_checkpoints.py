"""Checkpoints signed with a key of a test's own, as KMS signs them."""

from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cli.audit.signatures import write_key
from sluice.core.control.audit import Entry
from sluice.core.control.checkpoints import Signed, write_document

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


class Key:
    """A key pair."""

    def __init__(self, name: str = "ours", stage: str = "prod", curve: ec.EllipticCurve | None = None) -> None:
        self.arn = f"arn:aws:kms:eu-central-1:123456789012:key/{name}"
        self.stage = stage
        self._private = ec.generate_private_key(curve or ec.SECP256R1())

    def sign(self, entry: Entry, at: datetime = NOW, stage: str | None = None) -> bytes:
        """Sign an entry, and return what would be stored."""
        text = Signed(entry.hash, entry.number, at, stage or self.stage).write()
        return write_document(text, self._private.sign(text, ec.ECDSA(hashes.SHA256())), self.arn)

    def write(self, path: Path) -> Path:
        """Write the public key as a file."""
        der = self._private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        path.write_text(write_key(self.stage, self.arn, der))
        return path
