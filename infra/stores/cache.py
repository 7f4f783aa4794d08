"""The serverless Valkey cache, reached with IAM tokens over TLS."""

from dataclasses import dataclass

from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticache as elasticache
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.building_blocks.access import Access, Reach
from infra.building_blocks.foundation import Foundation
from infra.building_blocks.operations import Operations, counted
from sluice.edge.settings import CacheSettings

PORT = 6379
ENGINE = "valkey"
BUSY_PERCENT = 80
# The commands with which every cluster client finds its nodes.
FINDING_NODES = "+@connection -@dangerous +cluster|slots +cluster|shards +cluster|nodes"


@dataclass(frozen=True)
class CacheProfile:
    """The serverless cache's spending limits."""

    maximum_gib: int
    maximum_ecpu_per_second: int


@dataclass(frozen=True)
class Names:
    """Which commands a function may run on which keys: none that list, delete all or administer.

    Valkey checks the calls of scripts like any other command.
    """

    patterns: str
    commands: str


PUBLISHED = Names("~published:*", "+hget")
TO_PUBLISH = Names("~published:*", "+eval +evalsha +hget +hset +expire")
QUOTAS = Names("~quota:*", "+eval +evalsha +hmget +hset +pexpire +time")
PRESSURE = Names("~pressure", "+get +set")
GROUPS = Names("~group:*", "+get +set")
LETTERS = Names("~letters:*", "+get +set")
COUNTERS = Names("~count:*", "+hgetall +hincrby +expire")
COUNTERS_TO_READ = Names("~count:*", "+hgetall")
STATISTICS = Names("~statistics:*", "+hmget")
STATISTICS_TO_PUBLISH = Names("~statistics:*", "+hset +expire +hlen +del")
WATCHED_TO_READ = Names("~watched:*", "+hmget")
WATCHED_TO_LEARN = Names("~watched:*", "+hgetall")
SEEN = Names("~seen:*", "+smismember +sadd +expire")
BATCHES = Names(
    "~attempt:* ~quarantine:* ~extra:* ~ahead:*",
    "+get +set +eval +evalsha +type +del +hget +hgetall +hset +hdel +hincrby +pexpire",
)
"""Attempts at batches, what may still be quarantined, and since when versions are held."""
WATCHED = Names("~watched:*", "+hset +expire +del")
"""Which series are watched: a hint of alert's for detect and learn."""
EXTRA = Names("~extra:*", "+set")
"""What an admin allows a halted consumer."""


def write_access(*names: Names) -> str:
    """Write a user's permissions, as Valkey reads them."""
    patterns = " ".join(each.patterns for each in names)
    commands = " ".join(dict.fromkeys(command for each in names for command in each.commands.split()))
    return f"on {patterns} -@all {FINDING_NODES} {commands}"


class Cache(Construct):
    """The Valkey cache and its users. What it holds may be lost at any time; readers have another source."""

    def __init__(self, scope: Construct, foundation: Foundation, settings: CacheProfile) -> None:
        super().__init__(scope, "Cache")
        network = foundation.network
        self._deployment = deployment = foundation.deployment
        self._security_group = ec2.SecurityGroup(
            self, "SecurityGroup", vpc=network.vpc, description="Valkey", allow_all_outbound=False
        )
        self._users: list[str] = []
        self._group = elasticache.CfnUserGroup(
            self, "Users", engine=ENGINE, user_group_id=deployment.named("cache"), user_ids=[]
        )
        self._cache = elasticache.CfnServerlessCache(
            self,
            "Cache",
            engine=ENGINE,
            major_engine_version="8",
            serverless_cache_name=deployment.named("cache"),
            subnet_ids=network.vpc.select_subnets(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED).subnet_ids,
            security_group_ids=[self._security_group.security_group_id],
            kms_key_id=foundation.key.key_arn,
            user_group_id=self._group.ref,
            cache_usage_limits=elasticache.CfnServerlessCache.CacheUsageLimitsProperty(
                data_storage=elasticache.CfnServerlessCache.DataStorageProperty(
                    unit="GB", maximum=settings.maximum_gib
                ),
                ecpu_per_second=elasticache.CfnServerlessCache.ECPUPerSecondProperty(
                    maximum=settings.maximum_ecpu_per_second
                ),
            ),
        )

        self._watch(foundation.operations, {"clusterId": deployment.named("cache")}, settings)

    def _watch(self, operations: Operations, cache: dict[str, str], settings: CacheProfile) -> None:
        operations.alarm(
            self,
            "throttled",
            metric=counted("AWS/ElastiCache", "ThrottledCmds", cache, minutes=5),
            times=2,
            means="Valkey has refused commands for ten minutes: it is at its limit, or grows too slowly.",
        )
        operations.alarm(
            self,
            "ecpu",
            metric=counted("AWS/ElastiCache", "ElastiCacheProcessingUnits", cache, minutes=1),
            above=settings.maximum_ecpu_per_second * 60 * BUSY_PERCENT // 100,
            times=5,
            means=f"Valkey has worked at more than {BUSY_PERCENT} % of the profile's limit of"
            f" {settings.maximum_ecpu_per_second} ECPU a second for five minutes. At the limit it refuses commands.",
        )

    def access(self, verb: str, *names: Names) -> Access:
        """Let a function log in as a user of its own, with access to these keys."""
        user = self._user(verb, names)
        return Access(
            grants=[
                iam.PolicyStatement(actions=["elasticache:Connect"], resources=[self._cache.attr_arn, user.attr_arn])
            ],
            reads=[CacheSettings],
            facts={
                "cache_host": self._cache.attr_endpoint_address,
                "cache_port": self._cache.attr_endpoint_port,
                "cache_name": self._deployment.named("cache"),
                "cache_user": user.user_name,
                "cache_auth": "iam",
            },
            reaches=[Reach(self._security_group, PORT)],
            libraries=["database"],
        )

    def _user(self, verb: str, names: tuple[Names, ...]) -> elasticache.CfnUser:
        # With IAM authentication the user's id and name are the same.
        user_name = self._deployment.named(verb)
        user = elasticache.CfnUser(
            self,
            f"{verb.capitalize()}User",
            engine=ENGINE,
            user_id=user_name,
            user_name=user_name,
            authentication_mode={"Type": "iam"},
            access_string=write_access(*names),
        )
        self._users.append(user.ref)
        self._group.user_ids = self._users
        return user
