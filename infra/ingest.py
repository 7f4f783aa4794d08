"""ingest: from the API to Kafka."""

from constructs import Construct

from infra.cache import PORT as CACHE_PORT
from infra.cache import Cache
from infra.database import PORT as DATABASE_PORT
from infra.database import Database
from infra.function import Function, Reach
from infra.layers import Layers
from infra.network import Network
from infra.settings import Deployment
from infra.stream import IAM_PORT, Stream

TOPIC = "raw-events"
DATABASE_USER = "sluice_ingest"


class Ingest(Construct):
    """The function that authenticates, validates, produces and answers."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        deployment: Deployment,
        network: Network,
        layers: Layers,
        stream: Stream,
        database: Database,
        cache: Cache,
    ) -> None:
        super().__init__(scope, name)
        settings = deployment.profile.ingest
        self.function = Function(
            self,
            "ingest",
            deployment=deployment,
            network=network,
            compute=settings.compute,
            layers=[layers.sluice, layers.stream, layers.database],
            environment={
                "KAFKA_BOOTSTRAP": stream.bootstrap,
                "KAFKA_AUTH": "iam",
                "RAW_EVENTS_TOPIC": TOPIC,
                "PRODUCE_DEADLINE_SECONDS": str(settings.produce_deadline_seconds),
                "KEY_MEMORY_SECONDS": str(settings.key_memory_seconds),
                "KEY_CACHE_SECONDS": str(settings.key_cache_seconds),
                **database.address,
                "DATABASE_USER": DATABASE_USER,
                "DATABASE_AUTH": "iam",
                **cache.address,
                "CACHE_USER": cache.user,
                "CACHE_AUTH": "iam",
            },
            grants=[*stream.may_produce(TOPIC), database.may_connect_as(DATABASE_USER), cache.may_connect()],
            reaches=[
                Reach(stream.security_group, IAM_PORT),
                Reach(database.security_group, DATABASE_PORT),
                Reach(cache.security_group, CACHE_PORT),
            ],
        )
