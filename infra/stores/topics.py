"""The sizes of the brokers and the topics, and their limits."""

from dataclasses import dataclass

from infra.deployment import HOUR, require
from infra.network import AVAILABILITY_ZONES
from sluice.core.consumers import ALERT_EVENTS, DEAD_LETTERS, RAW_EVENTS, REPLAY_EVENTS

REPLICATION_FACTOR = 3
MIN_IN_SYNC_REPLICAS = 2
MAXIMUM_RECORD_BYTES = 1024 * 1024
"""The largest record Kafka takes, unless a topic says otherwise."""
CONSUMER_RECORD_AGE_SECONDS = 4 * HOUR
"""How long an event may wait for a consumer; Kafka keeps it longer, so that retention never removes an unread one."""


@dataclass(frozen=True)
class Brokers:
    """The Kafka cluster's machines."""

    instance_type: str
    count: int
    storage_gib: int

    def __post_init__(self) -> None:
        require(self.count >= REPLICATION_FACTOR, f"{self.count} brokers cannot hold {REPLICATION_FACTOR} replicas")
        require(self.count % AVAILABILITY_ZONES == 0, "brokers are spread evenly over the availability zones")


@dataclass(frozen=True)
class Topic:
    """One Kafka topic's size."""

    partitions: int
    retention_seconds: int
    partition_bytes: int | None = None
    """The size to which a partition may grow; None where only age removes records."""

    def __post_init__(self) -> None:
        require(self.partitions > 0, "a topic needs a partition")


@dataclass(frozen=True)
class Topics:
    """Every topic, by the name it has in Kafka."""

    raw_events: Topic
    replay_events: Topic
    dead_letter: Topic
    alert_events: Topic

    def __post_init__(self) -> None:
        require(
            self.raw_events.retention_seconds > CONSUMER_RECORD_AGE_SECONDS,
            "raw-events must outlive the age at which consumers give a record up, or Kafka deletes unread events",
        )

    def by_name(self) -> dict[str, Topic]:
        """Return the topics under their Kafka names."""
        return {
            RAW_EVENTS: self.raw_events,
            REPLAY_EVENTS: self.replay_events,
            DEAD_LETTERS: self.dead_letter,
            ALERT_EVENTS: self.alert_events,
        }
