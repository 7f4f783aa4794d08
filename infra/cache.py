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
# Copies of keys, quotas kept by a script and what the script itself calls, and what a cluster client asks to find its
# way; nothing that lists, deletes or administers.
INGEST_ACCESS = (
    "on ~key:* ~quota:* -@all +@connection -@dangerous +get +set"
    " +eval +evalsha +hmget +hset +pexpire +time"
    " +cluster|slots +cluster|shards +cluster|nodes"
)


class Cache(Construct):
    """Copies that may be lost at any time: whoever reads them has another source."""

    def __init__(self, scope: Construct, name: str, *, deployment: Deployment, network: Network, key: kms.IKey) -> None:
        super().__init__(scope, name)
        limits = deployment.profile.cache
        self.security_group = ec2.SecurityGroup(
            self, "SecurityGroup", vpc=network.vpc, description="Valkey", allow_all_outbound=False
        )
        # With IAM authentication the user's id and name are the same.
        self.user = deployment.named("ingest")
        user = elasticache.CfnUser(
            self,
            "IngestUser",
            engine=ENGINE,
            user_id=self.user,
            user_name=self.user,
            authentication_mode={"Type": "iam"},
            access_string=INGEST_ACCESS,
        )
        users = elasticache.CfnUserGroup(
            self, "Users", engine=ENGINE, user_group_id=deployment.named("cache"), user_ids=[user.ref]
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
        self._arns = [cache.attr_arn, user.attr_arn]
        self.address = {
            "CACHE_HOST": cache.attr_endpoint_address,
            "CACHE_PORT": cache.attr_endpoint_port,
            "CACHE_NAME": self.name,
        }

    def may_connect(self) -> iam.PolicyStatement:
        """Grant connecting to the cache as its one user."""
        return iam.PolicyStatement(actions=["elasticache:Connect"], resources=self._arns)
