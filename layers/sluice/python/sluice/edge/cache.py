"""Valkey, which ElastiCache Serverless offers in cluster mode only. No caller waits for it during an outage.

Everything stored here is optional. After a failure the cache is not used for a moment, so that not every request waits
for its timeout.
"""

import hashlib
import time
from collections.abc import Callable, Sequence
from typing import Any, cast
from urllib.parse import urlencode

from redis.cluster import ClusterPipeline, RedisCluster
from redis.credentials import CredentialProvider
from redis.exceptions import NoScriptError, RedisClusterException, RedisError

from sluice.core.breaker import Breaker
from sluice.core.errors import Retryable
from sluice.edge.settings import CacheSettings

SOCKET_SECONDS = 0.5
LEAVE_ALONE_SECONDS = 5.0
TOKEN_SECONDS = 900


class CacheAwayError(Retryable):
    """The cache does not answer, or failed a moment ago."""


class Cache:
    """A cache that may be down."""

    def __init__(self, connect: Callable[[], RedisCluster], clock: Callable[[], float] = time.monotonic) -> None:
        self._connect = connect
        self._breaker = Breaker("the cache", LEAVE_ALONE_SECONDS, clock, error=CacheAwayError)
        self._client: RedisCluster | None = None

    def get(self, name: str) -> bytes | None:
        """Read a value."""
        found: bytes | None = self._ask(lambda client: client.get(name))
        return found

    def get_field(self, name: str, field: str) -> bytes | None:
        """Read a field of a hash."""
        found: bytes | None = self._ask(lambda client: client.hget(name, field))
        return found

    def put(self, name: str, value: bytes, seconds: int) -> None:
        """Keep a value for some seconds."""
        self._ask(lambda client: client.set(name, value, ex=seconds))

    def run(self, script: "Script", names: Sequence[str], arguments: Sequence[float | bytes]) -> Any:
        """Run a script on values of one node."""

        def call(client: RedisCluster) -> Any:
            try:
                return client.evalsha(script.sha1, len(names), *names, *arguments)
            except NoScriptError:
                return client.eval(script.text, len(names), *names, *arguments)

        return self._ask(call)

    def together(self, queue: Callable[[ClusterPipeline], object]) -> list[Any]:
        """Send many commands at once, to all nodes concerned, and return their answers in order."""

        def call(client: RedisCluster) -> Any:
            pipeline = client.pipeline()  # type: ignore[no-untyped-call]  # declared without types
            queue(pipeline)
            return pipeline.execute()

        return cast("list[Any]", self._ask(call))

    def _ask(self, question: Callable[[RedisCluster], Any]) -> Any:
        with self._breaker.asking():
            try:
                self._client = self._client or self._connect()
                return question(self._client)
            # The exception for an unreachable cluster is not a RedisError.
            except (RedisError, RedisClusterException, OSError) as error:
                self._client = None
                raise CacheAwayError(str(error)) from error


class Script:
    """A Lua script and its name on the server."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha1 = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def connect(settings: CacheSettings) -> RedisCluster:
    """Open a cluster client with short timeouts."""
    iam = settings.cache_auth == "iam"
    return RedisCluster(
        host=settings.cache_host,
        port=settings.cache_port,
        ssl=iam,
        credential_provider=_SignedCredentials(settings) if iam else None,
        socket_timeout=SOCKET_SECONDS,
        socket_connect_timeout=SOCKET_SECONDS,
        decode_responses=False,
    )


class _SignedCredentials(CredentialProvider):
    """The cache's user with a new signed token for each connection."""

    def __init__(self, settings: CacheSettings) -> None:
        self._settings = settings

    def get_credentials(self) -> tuple[str, str]:
        import botocore.session
        from botocore.exceptions import NoCredentialsError
        from botocore.model import ServiceId
        from botocore.signers import RequestSigner

        session = botocore.session.get_session()
        credentials = session.get_credentials()
        if credentials is None:
            raise NoCredentialsError
        signer = RequestSigner(
            ServiceId("elasticache"),
            self._settings.aws_region,
            "elasticache",
            "v4",
            credentials,
            session.get_component("event_emitter"),
        )
        query = {"Action": "connect", "User": self._settings.cache_user, "ResourceType": "ServerlessCache"}
        request = {
            "method": "GET",
            "url": f"http://{self._settings.cache_name}/?{urlencode(query)}",
            "body": {},
            "headers": {},
            "context": {},
        }
        signed_url: str = signer.generate_presigned_url(
            request, "connect", expires_in=TOKEN_SECONDS, region_name=self._settings.aws_region
        )
        return self._settings.cache_user, signed_url.removeprefix("http://")
