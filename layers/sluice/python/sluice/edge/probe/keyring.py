"""The keys of probe: in a secret, and made through the admin API when there are none, or none that work.

The role may create fleets, and keys of this one fleet. The audit has an entry for each that it makes.
Keys that a try leaves behind work for 90 days and count among the stage's: the secret has each key before the next is
made, and a later try continues with it.
"""

from datetime import datetime
from typing import Any

import msgspec
from aws_lambda_powertools import Logger

from sluice.core.errors import Retryable
from sluice.core.probe.event import FLEET, READ_ROUTE
from sluice.core.probe.keys import LIFE_DAYS, KeptKeys, NewKeys, ProbeKeys, read_kept_keys
from sluice.edge import aws
from sluice.edge.probe.api_client import ApiClient

logger = Logger()

ANSWER_SECONDS, TRIES = 3, 2
FLEETS = "/v1/admin/fleets"
KEYS = f"{FLEETS}/{FLEET}/keys"
EVENTS_PER_SECOND = 1.0
EXISTS = 409
UNAUTHORIZED, SERVER_FAILED = 401, 500
CORRELATION_ID = "probe-keys"
"""Of the question whether the API takes new keys."""


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
        if self._known is None or self._known.are_old(now):
            try:
                self._renew(now)
            except Retryable as error:
                if self._known is None or self._known.have_ended(now):
                    raise
                logger.warning("probe goes on with its old keys", reason=str(error), made_at=str(self._known.made_at))
        if self._known is None:
            raise Retryable("probe has no keys")
        return self._known

    def replace_refused_keys(self, now: datetime) -> None:
        """Take the keys that another process has stored, or make new ones unless these were made a moment ago."""
        refused, kept = self._known, self._read()
        self._known = kept.keys
        if self._known is not None and self._known == refused and self._known.may_be_replaced(now):
            logger.warning("the keys of probe are refused: new ones are made")
            self._known = self._make(kept, now)

    def _renew(self, now: datetime) -> None:
        # Another process may have stored newer keys than this one knows.
        kept = self._read()
        self._known = kept.keys or self._known
        if self._known is None or self._known.are_old(now):
            self._known = self._make(kept, now)

    def _read(self) -> KeptKeys:
        with aws.asking("Secrets Manager"):
            return read_kept_keys(self._client.get_secret_value(SecretId=self._secret).get("SecretString", ""))

    def _keep(self, kept: KeptKeys) -> None:
        with aws.asking("Secrets Manager"):
            self._client.put_secret_value(SecretId=self._secret, SecretString=msgspec.json.encode(kept).decode())

    def _make(self, kept: KeptKeys, now: datetime) -> ProbeKeys:
        """Make a pair, or continue one; it is used once the API takes it."""
        new = kept.new
        pair = None if new is None or new.are_given_up(now) else new.pair
        if pair is None:
            if new is not None and new.must_wait(now):
                raise Retryable(f"new keys were tried at {new.tried_at}: the next try is ten minutes later")
            pair = self._make_pair(kept.keys, new, now)
        # All keys are published in one document, and this one was made last. An unknown key is a 503 while Valkey or S3
        # does not answer.
        asked = self._api.ask(READ_ROUTE, pair.reader, CORRELATION_ID).status
        if asked == UNAUTHORIZED or asked >= SERVER_FAILED:
            raise Retryable(f"the API does not take probe's new keys yet: {asked}")
        self._keep(KeptKeys(pair))
        return pair

    def _make_pair(self, used: ProbeKeys | None, begun: NewKeys | None, now: datetime) -> ProbeKeys:
        self._create_fleet()
        new = NewKeys(now, now) if begun is None else begun.begin_try(now)
        self._keep(KeptKeys(used, new))
        device = new.device
        if device is None:
            device = self._make_key("device")
            new = msgspec.structs.replace(new, device=device)
            self._keep(KeptKeys(used, new))
        reader = self._make_key("reader")
        self._keep(KeptKeys(used, msgspec.structs.replace(new, reader=reader)))
        return ProbeKeys(device, reader, new.began_at)

    def _create_fleet(self) -> None:
        created = self._api.post_signed(
            FLEETS, {"fleet_id": FLEET, "events_per_second": EVENTS_PER_SECOND, "rejects_per_second": EVENTS_PER_SECOND}
        )
        if created.status not in (201, EXISTS):
            raise Retryable(f"probe's fleet cannot be created: {created.status} {created.body[:200]!r}")

    def _make_key(self, role: str) -> str:
        made = self._api.post_signed(KEYS, {"role": role, "expires_in_days": LIFE_DAYS})
        if made.status != 201:
            raise Retryable(f"a key of probe cannot be made: {made.status} {made.body[:200]!r}")
        return msgspec.json.decode(made.body, type=_Made).key
