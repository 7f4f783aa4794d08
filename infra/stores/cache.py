"""The serverless Valkey cache, reached with IAM tokens over TLS."""

from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_elasticache as elasticache
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from constructs import Construct

from infra.network import Network
from infra.settings import Deployment

PORT = 6379
ENGINE = "valkey"
# What scripts call is checked like any other command.
CONSUMING = "+get +set +eval +evalsha +type +del +hget +hgetall +hset +hdel +hincrby +pexpire"
# What each function does with which names; nothing that lists, deletes or administers.
ACCESS = {
    # Copies of keys, the word about pressure, and quotas kept by a script, with what the script itself calls.
    "ingest": ("~key:* ~quota:* ~pressure", "+get +set +eval +evalsha +hmget +hset +pexpire +time"),
    # Likewise, and groups as the directory told of them; live counters.
    "query": ("~key:* ~quota:* ~group:* ~count:*", "+get +set +eval +evalsha +hmget +hset +pexpire +time +hgetall"),
    # Attempts at batches, kept by scripts, and what may still be put aside.
    "archive": ("~attempt:* ~quarantine:*", CONSUMING),
    # Likewise, what was taken in lately, and live counters.
    "aggregate": ("~attempt:* ~quarantine:* ~seen:* ~count:*", f"{CONSUMING} +smismember +sadd +expire"),
    "pressure": ("~pressure", "+get +set"),
    # Copies of keys and quotas, as ingest has them.
    "trace": ("~key:* ~quota:*", "+get +set +eval +evalsha +hmget +hset +pexpire +time"),
}
# What every cluster client asks to find its way.
FINDING_NODES = "+@connection -@dangerous +cluster|slots +cluster|shards +cluster|nodes"


class Cache(Construct):
    """Copies that may be lost at any time: whoever reads them has another source."""

    def __init__(self, scope: Construct, name: str, *, deployment: Deployment, network: Network, key: kms.IKey) -> None:
        super().__init__(scope, name)
        limits = deployment.profile.cache
        self.security_group = ec2.SecurityGroup(
            self, "SecurityGroup", vpc=network.vpc, description="Valkey", allow_all_outbound=False
        )
        self._deployment = deployment
        self._users = {verb: self._user(verb, names, commands) for verb, (names, commands) in ACCESS.items()}
        users = elasticache.CfnUserGroup(
            self,
            "Users",
            engine=ENGINE,
            user_group_id=deployment.named("cache"),
            user_ids=[user.ref for user in self._users.values()],
        )
        self.name = deployment.named("cache")
        cache = elasticache.CfnServerlessCache(
            self,
            "Cache",
            engine=ENGINE,
            major_engine_version="8",
            serverless_cache_name=self.name,
            subnet_ids=network.vpc.select_subnets(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED).subnet_ids,
            security_group_ids=[self.security_group.security_group_id],
            kms_key_id=key.key_arn,
            user_group_id=users.ref,
            cache_usage_limits=elasticache.CfnServerlessCache.CacheUsageLimitsProperty(
                data_storage=elasticache.CfnServerlessCache.DataStorageProperty(unit="GB", maximum=limits.maximum_gib),
                ecpu_per_second=elasticache.CfnServerlessCache.ECPUPerSecondProperty(
                    maximum=limits.maximum_ecpu_per_second
                ),
            ),
        )
        self._arn = cache.attr_arn
        self.address = {
            "CACHE_HOST": cache.attr_endpoint_address,
            "CACHE_PORT": cache.attr_endpoint_port,
            "CACHE_NAME": self.name,
        }

    def user_of(self, verb: str) -> str:
        """Return the name a function logs in with."""
        return self._deployment.named(verb)

    def may_connect_as(self, verb: str) -> iam.PolicyStatement:
        """Grant connecting to the cache as a function's own user."""
        return iam.PolicyStatement(actions=["elasticache:Connect"], resources=[self._arn, self._users[verb].attr_arn])

    def _user(self, verb: str, names: str, commands: str) -> elasticache.CfnUser:
        # With IAM authentication the user's id and name are the same.
        name = self.user_of(verb)
        return elasticache.CfnUser(
            self,
            f"{verb.capitalize()}User",
            engine=ENGINE,
            user_id=name,
            user_name=name,
            authentication_mode={"Type": "iam"},
            access_string=f"on {names} -@all {FINDING_NODES} {commands}",
        )
