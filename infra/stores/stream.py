"""The Kafka cluster and its topics: IAM authentication, TLS, three replicas, no topic that is not declared."""

import base64
import json
from collections.abc import Iterable, Sequence
from itertools import pairwise

from aws_cdk import Duration, Fn, RemovalPolicy, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_msk as msk
from aws_cdk import custom_resources as custom
from constructs import Construct, DependencyGroup, IConstruct, IDependable

from infra.building_blocks.access import Access, Reach
from infra.building_blocks.foundation import Foundation
from infra.building_blocks.operations import UNKNOWN, Operations, counted
from infra.building_blocks.retention import kept_for
from infra.deployment import DAY
from infra.stores.topics import MIN_IN_SYNC_REPLICAS, REPLICATION_FACTOR, Brokers, Topic, Topics
from sluice.core.consumers import Consumer
from sluice.edge.settings import BrokerSettings

IAM_PORT = 9098
DISK_PERCENT = 70
BUSY_PERCENT = 60
"""AWS advises to stay below it: the brokers that are left must carry the load of one that is replaced."""
KAFKA_VERSION = "4.1.x.kraft"
SERVER_PROPERTIES = f"""\
auto.create.topics.enable=false
default.replication.factor={REPLICATION_FACTOR}
min.insync.replicas={MIN_IN_SYNC_REPLICAS}
unclean.leader.election.enable=false
"""


class Stream(Construct):
    """The Kafka cluster with its topics: the buffer between ingest and the consumers. It grants functions access."""

    def __init__(self, scope: Construct, foundation: Foundation, brokers: Brokers, topics: Topics) -> None:
        super().__init__(scope, "Stream")
        deployment, network, key = foundation.deployment, foundation.network, foundation.key
        self.brokers = brokers
        self.topics = topics
        self._security_group = ec2.SecurityGroup(self, "SecurityGroup", vpc=network.vpc, description="Kafka brokers")
        # An event source's pollers run in the brokers' subnets, with the brokers' own security group.
        self._security_group.add_ingress_rule(self._security_group, ec2.Port.tcp(IAM_PORT), "event source pollers")

        configuration = msk.CfnConfiguration(
            self, "Configuration", name=deployment.named("brokers"), server_properties=SERVER_PROPERTIES
        )
        broker_logs = logs.LogGroup(
            self, "BrokerLogs", retention=kept_for(deployment.log_days), removal_policy=RemovalPolicy.DESTROY
        )
        self.cluster = msk.CfnCluster(
            self,
            "Cluster",
            cluster_name=deployment.named("events"),
            kafka_version=KAFKA_VERSION,
            number_of_broker_nodes=brokers.count,
            broker_node_group_info=msk.CfnCluster.BrokerNodeGroupInfoProperty(
                client_subnets=network.vpc.select_subnets(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED).subnet_ids,
                instance_type=brokers.instance_type,
                security_groups=[self._security_group.security_group_id],
                storage_info=msk.CfnCluster.StorageInfoProperty(
                    ebs_storage_info=msk.CfnCluster.EBSStorageInfoProperty(volume_size=brokers.storage_gib)
                ),
            ),
            configuration_info=msk.CfnCluster.ConfigurationInfoProperty(
                arn=configuration.attr_arn, revision=configuration.attr_latest_revision_revision
            ),
            client_authentication=msk.CfnCluster.ClientAuthenticationProperty(
                sasl=msk.CfnCluster.SaslProperty(iam=msk.CfnCluster.IamProperty(enabled=True))
            ),
            encryption_info=msk.CfnCluster.EncryptionInfoProperty(
                encryption_at_rest=msk.CfnCluster.EncryptionAtRestProperty(data_volume_kms_key_id=key.key_arn),
                encryption_in_transit=msk.CfnCluster.EncryptionInTransitProperty(client_broker="TLS", in_cluster=True),
            ),
            logging_info=msk.CfnCluster.LoggingInfoProperty(
                broker_logs=msk.CfnCluster.BrokerLogsProperty(
                    cloud_watch_logs=msk.CfnCluster.CloudWatchLogsProperty(
                        enabled=True, log_group=broker_logs.log_group_name
                    )
                )
            ),
        )
        made = {name: self._topic(name, size) for name, size in topics.by_name().items()}
        # AWS does not say whether a cluster takes several topics at once.
        for earlier, later in pairwise(made.values()):
            later.add_dependency(earlier)
        self._topic_arns = {name: topic.attr_topic_arn for name, topic in made.items()}
        self._readers = {name: DependencyGroup() for name in topics.by_name()}
        self._bootstrap = self._bootstrap_brokers(log_days=deployment.log_days)
        self._watch(foundation.operations, brokers.count)

    def read_by(self, function: IConstruct, topic: str) -> None:
        """Register a function that reads a topic."""
        self._readers[topic].add(function)

    def produce(self, *topics: str) -> Access:
        """Let a function be an idempotent producer of these topics.

        It depends on the functions that read them: a deployment updates readers before writers, so that no record is
        written before its readers understand it.
        """
        connecting = iam.PolicyStatement(
            actions=["kafka-cluster:Connect", "kafka-cluster:WriteDataIdempotently"], resources=[self.cluster.attr_arn]
        )
        writing = self._may(["DescribeTopic", "WriteData"], *(self._topic_arns[topic] for topic in topics))
        return self._access([connecting, writing], topics, after=[self._readers[topic] for topic in topics])

    def watch(self, topic: str, consumers: Iterable[Consumer]) -> Access:
        """Let a function ask for a topic's offsets and those that consumers committed. It reads no records."""
        groups = [self._group_arn(consumer.name) for consumer in consumers]
        grants = [self._may(["DescribeTopic"], self._topic_arns[topic]), self._may(["DescribeGroup"], *groups)]
        return self._access([self._may_connect(), *grants], [topic])

    def reread(self, topic: str, reader: str, consumers: Iterable[Consumer]) -> Access:
        """Let a function read a topic from any offset, without joining a group, and ask for committed offsets."""
        # Also for its own group: the client looks for its coordinator even when it does not join.
        groups = [self._group_arn(name) for name in (*(consumer.name for consumer in consumers), reader)]
        reading = self._may(["DescribeTopic", "ReadData"], self._topic_arns[topic])
        return self._access([self._may_connect(), reading, self._may(["DescribeGroup"], *groups)], [topic])

    def may_consume(self, consumer: Consumer) -> list[iam.PolicyStatement]:
        """Grant what an event source needs to poll as a consumer, under the role of the function it invokes."""
        return [
            iam.PolicyStatement(
                actions=[
                    "kafka:DescribeCluster",
                    "kafka:DescribeClusterV2",
                    "kafka:GetBootstrapBrokers",
                    "kafka-cluster:Connect",
                    "kafka-cluster:DescribeClusterDynamicConfiguration",
                ],
                resources=[self.cluster.attr_arn],
            ),
            self._may(["DescribeTopic", "ReadData"], self._topic_arns[consumer.topic]),
            self._may(["AlterGroup", "DescribeGroup"], self._group_arn(consumer.name)),
        ]

    def _access(
        self, grants: Sequence[iam.PolicyStatement], topics: Sequence[str], after: Sequence[IDependable] = ()
    ) -> Access:
        """Let a function reach the brokers; it reads a topic's name as `<topic>_topic`."""
        return Access(
            grants=grants,
            reads=[BrokerSettings],
            facts={
                "kafka_bootstrap": self._bootstrap,
                "kafka_auth": "iam",
                **{f"{topic.replace('-', '_')}_topic": topic for topic in topics},
            },
            reaches=[Reach(self._security_group, IAM_PORT)],
            after=after,
        )

    def _may_connect(self) -> iam.PolicyStatement:
        return self._may(["Connect"], self.cluster.attr_arn)

    def _may(self, actions: Sequence[str], *resources: str) -> iam.PolicyStatement:
        return iam.PolicyStatement(actions=[f"kafka-cluster:{action}" for action in actions], resources=list(resources))

    def _group_arn(self, group: str) -> str:
        """Return the ARN of a consumer group, which has the cluster's name and id in it."""
        cluster_and_id = Fn.select(1, Fn.split(":cluster/", self.cluster.attr_arn))
        return Stack.of(self).format_arn(service="kafka", resource="group", resource_name=f"{cluster_and_id}/{group}")

    def _watch(self, operations: Operations, brokers: int) -> None:
        cluster = {"Cluster Name": self.cluster.cluster_name}
        operations.alarm(
            self,
            "disk",
            metric=_fullest_disk(cluster, brokers),
            above=DISK_PERCENT,
            no_data=UNKNOWN,
            means=f"Kafka's disks are more than {DISK_PERCENT} % full. A full disk stops its broker.",
        )
        operations.alarm(
            self,
            "offline",
            metric=counted("AWS/Kafka", "OfflinePartitionsCount", cluster, minutes=1, statistic="Maximum"),
            times=3,
            no_data=UNKNOWN,
            means="Partitions have no leader: their records can be neither stored nor read.",
        )
        operations.alarm(
            self,
            "cpu",
            metric=_busiest(cluster, brokers),
            above=BUSY_PERCENT,
            times=3,
            no_data=UNKNOWN,
            means=f"A broker has been more than {BUSY_PERCENT} % busy for a quarter of an hour.",
        )

    def _topic(self, name: str, size: Topic) -> msk.CfnTopic:
        configs = {
            "cleanup.policy": "delete",
            "min.insync.replicas": str(MIN_IN_SYNC_REPLICAS),
            "retention.ms": str(size.retention_seconds * 1000),
            # Kafka deletes only closed segments: without rolling, a quiet partition would keep records for days.
            "segment.ms": str(min(size.retention_seconds // 6, DAY) * 1000),
        }
        if size.partition_bytes is not None:
            configs["retention.bytes"] = str(size.partition_bytes)
        return msk.CfnTopic(
            self,
            "".join(word.capitalize() for word in name.split("-")),
            cluster_arn=self.cluster.attr_arn,
            topic_name=name,
            partition_count=size.partitions,
            replication_factor=REPLICATION_FACTOR,
            configs=base64.b64encode(json.dumps(configs, sort_keys=True).encode()).decode(),
        )

    def _bootstrap_brokers(self, *, log_days: int) -> str:
        """Look up the brokers' addresses at deployment: CloudFormation does not return them."""
        call = custom.AwsSdkCall(
            service="Kafka",
            action="getBootstrapBrokers",
            parameters={"ClusterArn": self.cluster.attr_arn},
            physical_resource_id=custom.PhysicalResourceId.of("bootstrap-brokers"),
            output_paths=["BootstrapBrokerStringSaslIam"],
        )
        brokers = custom.AwsCustomResource(
            self,
            "BootstrapBrokers",
            resource_type="Custom::KafkaBootstrapBrokers",
            on_create=call,
            on_update=call,
            install_latest_aws_sdk=False,
            log_group=logs.LogGroup(
                self, "BootstrapBrokersLogs", retention=kept_for(log_days), removal_policy=RemovalPolicy.DESTROY
            ),
            policy=custom.AwsCustomResourcePolicy.from_statements(
                [iam.PolicyStatement(actions=["kafka:GetBootstrapBrokers"], resources=[self.cluster.attr_arn])]
            ),
        )
        return brokers.get_response_field("BootstrapBrokerStringSaslIam")


def _fullest_disk(cluster: dict[str, str], brokers: int) -> cloudwatch.IMetric:
    """Compute the use of the fullest disk: each broker has a metric of its own, the cluster has none."""
    disks = _of_each(cluster, brokers, "KafkaDataLogsDiskUsed", "Maximum")
    return cloudwatch.MathExpression(
        expression=f"MAX([{', '.join(disks)}])", using_metrics=disks, period=Duration.minutes(5)
    )


def _busiest(cluster: dict[str, str], brokers: int) -> cloudwatch.IMetric:
    """Compute the load of the busiest broker, by what is idle: one metric of each, because an alarm may look at ten."""
    idle = _of_each(cluster, brokers, "CpuIdle", "Average")
    return cloudwatch.MathExpression(
        expression=f"MAX([{', '.join(f'100 - {name}' for name in idle)}])",
        using_metrics=idle,
        period=Duration.minutes(5),
    )


def _of_each(cluster: dict[str, str], brokers: int, name: str, statistic: str) -> dict[str, cloudwatch.IMetric]:
    """Name a metric of each broker."""
    return {
        f"broker{number}": counted(
            "AWS/Kafka", name, {**cluster, "Broker ID": str(number)}, minutes=5, statistic=statistic
        )
        for number in range(1, brokers + 1)
    }
