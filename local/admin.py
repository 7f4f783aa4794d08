"""An admin of the local stack: makes fleets and keys through the admin API, as people do."""

import json
import secrets
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

# The gateway answers within 30 s.
ANSWER_SECONDS = 35
AGAIN_SECONDS, MOST_TRIES = 1, 60


class Described(Protocol):
    """A stack, as its description names its parts."""

    def __getitem__(self, name: str, /) -> Any:
        """Return what has a name."""
        ...


@dataclass(frozen=True)
class Admin:
    """One access key of the role of admins, and where its requests go."""

    api: str
    region: str
    access_key: str
    secret_key: str

    @classmethod
    def of(cls, stack: Described) -> "Admin":
        """Be the admin of a described stack."""
        login = stack["roles"]["admin"]
        return cls(stack["api"], stack["region"], login["access_key"], login["secret_key"])

    def create_fleet(self, fleet_id: str, **settings: float) -> None:
        """Create a fleet."""
        self._send("POST", "/v1/admin/fleets", {"fleet_id": fleet_id, **settings})

    def create_key(self, fleet_id: str, role: str) -> str:
        """Create a key, wait until it works, and return its text."""
        wanted = "POST", f"/v1/admin/fleets/{fleet_id}/keys", {"role": role}, {"idempotency-key": secrets.token_hex(16)}
        made = self._send(*wanted)
        tries = 0
        while not made.get("published", True):
            time.sleep(AGAIN_SECONDS)
            tries += 1
            try:
                # The repetition publishes the key, and does not show it again.
                made = {**self._send(*wanted), "key": made["key"]}
            except urllib.error.HTTPError as error:
                error.close()
                if error.code != 503 or tries == MOST_TRIES:
                    raise
        return str(made["key"])

    def revoke_key(self, fleet_id: str, key: str) -> None:
        """Revoke a key, by its text."""
        key_id = key.split("_")[2]
        self._send("POST", f"/v1/admin/fleets/{fleet_id}/keys/{key_id}/revoke", {"reason": "revoked by a test"})

    def rotate_key(self, fleet_id: str, key: str) -> str:
        """Rotate a key, and return the text of its successor."""
        return str(self._send("POST", f"/v1/admin/fleets/{fleet_id}/keys/{key.split('_')[2]}/rotate", {})["key"])

    def change_fleet(self, fleet_id: str, **settings: float) -> None:
        """Change a fleet that no one has changed before."""
        self._send("PATCH", f"/v1/admin/fleets/{fleet_id}", settings, {"if-match": '"1"'})

    def _send(
        self, method: str, path: str, content: Mapping[str, Any], headers: Mapping[str, str] | None = None
    ) -> Any:
        url, body = f"{self.api}{path}", json.dumps(content).encode()
        signed = AWSRequest(method, url, {"content-type": "application/json", **(headers or {})}, data=body)
        SigV4Auth(Credentials(self.access_key, self.secret_key), "execute-api", self.region).add_auth(signed)
        request = urllib.request.Request(url, body, dict(signed.headers.items()), method=method)  # noqa: S310 -- ours
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:  # noqa: S310 -- the same
            return json.load(answer)
