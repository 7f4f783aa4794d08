"""Connections to Valkey, which ElastiCache Serverless offers in cluster mode only."""

from urllib.parse import urlencode

from redis.cluster import RedisCluster
from redis.credentials import CredentialProvider

from sluice.edge.settings import CacheSettings

SOCKET_SECONDS = 0.5
TOKEN_SECONDS = 900


def connect(settings: CacheSettings) -> RedisCluster:
    """Open a cluster client; a cache that does not answer at once counts as away."""
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
    """The cache's user with a token signed anew for each connection."""

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
