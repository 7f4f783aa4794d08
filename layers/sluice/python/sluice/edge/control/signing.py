"""The key that signs checkpoints. It never leaves KMS."""

from typing import Any

from sluice.core.control.checkpoints import ALGORITHM
from sluice.edge import aws


class Signer:
    """Signs texts, and verifies its own signatures."""

    def __init__(self, kms: Any, key: str) -> None:
        self._kms = kms
        self._key = {"KeyId": key, "MessageType": "RAW", "SigningAlgorithm": ALGORITHM}

    def sign(self, text: bytes) -> tuple[bytes, str]:
        """Sign a text; return the signature and the key's ARN."""
        with aws.asking("KMS"):
            answer = self._kms.sign(Message=text, **self._key)
        return answer["Signature"], answer["KeyId"]

    def verifies(self, text: bytes, signature: bytes) -> bool:
        """Return whether this key signed a text."""
        with aws.asking("KMS"):
            try:
                return bool(self._kms.verify(Message=text, Signature=signature, **self._key)["SignatureValid"])
            except self._kms.exceptions.KMSInvalidSignatureException:
                return False
