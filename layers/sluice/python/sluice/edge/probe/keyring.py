"""The keys of probe: in a secret, and made through the admin API when there are none, or none that work.

The role may create fleets, and keys of this one fleet. The audit has an entry for each that it makes.
"""

from datetime import datetime
from typing import Any

import msgspec
from aws_lambda_powertools import Logger

from sluice.core.errors import Retryable
from sluice.core.probe.event import FLEET
from sluice.core.probe.keys import LIFE_DAYS, ProbeKeys, read_keys
from sluice.edge import aws
from sluice.edge.probe.api_client import ApiClient

logger = Logger()

ANSWER_SECONDS, TRIES = 3, 2
FLEETS = "/v1/admin/fleets"
KEYS = f"{FLEETS}/{FLEET}/keys"
EVENTS_PER_SECOND = 1.0
EXISTS = 409


class _Made(msgspec.Struct, frozen=True):
    key: str


class Keyring:
    """The keys that this process knows, and the secret that keeps them."""

    def __init__(self, api: ApiClient, client: Any, secret: str) -> None:
        self._api = api
        self._client = client
        self._secret = secret
        self._known: ProbeKeys | None = None

    def find(self, now: datetime) -> ProbeKeys:
        """Return keys that should work; Retryable if there are none, and none can be made."""
        known = self._known or self._read()
        if known is None or known.are_old(now):
            known = self._make(now)
        self._known = known
        return known

    def replace_refused_keys(self, now: datetime) -> None:
        """Take the keys that another process has stored, or make new ones unless these were made a moment ago."""
        refused = self._known
        self._known = self._read()
        if self._known is not None and self._known == refused and self._known.may_be_replaced(now):
            logger.warning("the keys of probe are refused: new ones are made")
            self._known = self._make(now)

    def _read(self) -> ProbeKeys | None:
        with aws.asking("Secrets Manager"):
            return read_keys(self._client.get_secret_value(SecretId=self._secret).get("SecretString", ""))

    def _make(self, now: datetime) -> ProbeKeys:
        created = self._api.post_signed(
            FLEETS, {"fleet_id": FLEET, "events_per_second": EVENTS_PER_SECOND, "rejects_per_second": EVENTS_PER_SECOND}
        )
        if created.status not in (201, EXISTS):
            raise Retryable(f"probe's fleet cannot be created: {created.status} {created.body[:200]!r}")
        keys = ProbeKeys(self._make_key("device"), self._make_key("reader"), now)
        with aws.asking("Secrets Manager"):
            self._client.put_secret_value(SecretId=self._secret, SecretString=msgspec.json.encode(keys).decode())
        return keys

    def _make_key(self, role: str) -> str:
        made = self._api.post_signed(KEYS, {"role": role, "expires_in_days": LIFE_DAYS})
        if made.status != 201:
            raise Retryable(f"a key of probe cannot be made: {made.status} {made.body[:200]!r}")
        return msgspec.json.decode(made.body, type=_Made).key
