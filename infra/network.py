"""The private network: isolated subnets in three zones, and the endpoints that replace a way out."""

from collections.abc import Sequence
from functools import cached_property

from aws_cdk import Aws, Fn, RemovalPolicy
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from infra.building_blocks.access import Reach
from infra.building_blocks.retention import kept_for
from infra.deployment import Deployment

AVAILABILITY_ZONES = 3
SUBNET_BITS = 20
"""Of a subnet's mask: 4,096 addresses, of which functions, brokers and endpoints take some hundred."""
HTTPS_PORT = 443


class Network(Construct):
    """A VPC without internet gateway or NAT: functions inside reach our stores, seven AWS services, and state machines.

    Each service has an endpoint. A function names the endpoints that it needs, and each lets nothing else through.
    """

    def __init__(
        self,
        scope: Construct,
        name: str,
        deployment: Deployment,
        *,
        zones: Sequence[str] | None = None,
        cidr: str | None = None,
    ) -> None:
        super().__init__(scope, name)
        self.vpc = ec2.Vpc(
            self,
            "Vpc",
            # The region's first zones, resolved at deployment: looking them up now would need credentials. Brokers are
            # not offered in every zone, so a deployment may name others.
            availability_zones=list(zones or (Fn.select(zone, Fn.get_azs()) for zone in range(AVAILABILITY_ZONES))),
            ip_addresses=ec2.IpAddresses.cidr(cidr) if cidr else None,
            subnet_configuration=[
                ec2.SubnetConfiguration(
                    name="isolated", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED, cidr_mask=SUBNET_BITS
                )
            ],
        )
        self._log_refusals(deployment.log_days)
        self.subnets = ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)
        # Kafka and the databases are inside; event sources in provisioned mode bring their own way to Lambda.
        self.firehose = self._endpoint(
            "Firehose", ec2.InterfaceVpcEndpointAwsService.KINESIS_FIREHOSE, "firehose:PutRecordBatch"
        )
        # Only migrations use it, at a deployment. An endpoint is billed for each zone, and all zones reach this one.
        self.secrets = self._endpoint(
            "Secrets", ec2.InterfaceVpcEndpointAwsService.SECRETS_MANAGER, "secretsmanager:GetSecretValue", zones=1
        )
        # For calls between functions: some reach what others cannot.
        self.lambdas = self._endpoint("Lambda", ec2.InterfaceVpcEndpointAwsService.LAMBDA_, "lambda:InvokeFunction")
        # Only signing checkpoints uses it, and can wait for a zone. Services that encrypt reach KMS by themselves.
        self.kms = self._endpoint("Kms", ec2.InterfaceVpcEndpointAwsService.KMS, "kms:Sign", "kms:Verify", zones=1)
        # Only CloudWatch reports how full the brokers' disks are.
        self.monitoring = self._endpoint(
            "Monitoring", ec2.InterfaceVpcEndpointAwsService.CLOUDWATCH_MONITORING, "cloudwatch:GetMetricData"
        )
        # Alerts must leave while a zone is down.
        self.sns = self._endpoint("Sns", ec2.InterfaceVpcEndpointAwsService.SNS, "sns:Publish")
        self.s3 = self._gateway_to_s3()

    @cached_property
    def states(self) -> Reach:
        """The way to state machines, which exists where a function names it: an endpoint is billed by the hour.

        Only people's requests use it, a few a day, and can wait for a zone.
        """
        service = ec2.InterfaceVpcEndpointAwsService.STEP_FUNCTIONS
        return self._endpoint("States", service, "states:StartExecution", "states:DescribeExecution", zones=1)

    def _endpoint(
        self, name: str, service: ec2.IInterfaceVpcEndpointService, *actions: str, zones: int = AVAILABILITY_ZONES
    ) -> Reach:
        """Add an interface endpoint, whose security group admits only functions that name it.

        It passes on only these actions, and only for roles of this account: credentials of another one, brought in
        by whoever got into a function, lead nowhere. Roles say on which resources.
        """
        door = ec2.SecurityGroup(
            self, f"{name}Door", vpc=self.vpc, description=f"{name} endpoint", allow_all_outbound=False
        )
        endpoint = ec2.InterfaceVpcEndpoint(
            self,
            name,
            vpc=self.vpc,
            service=service,
            subnets=ec2.SubnetSelection(subnets=self.vpc.isolated_subnets[:zones]),
            security_groups=[door],
            open=False,
        )
        endpoint.add_to_policy(
            iam.PolicyStatement(
                principals=[iam.AnyPrincipal()],
                actions=list(actions),
                resources=["*"],
                conditions={"StringEquals": {"aws:PrincipalAccount": Aws.ACCOUNT_ID}},
            )
        )
        return Reach(door, HTTPS_PORT)

    def _log_refusals(self, days: int) -> None:
        """Keep a log of connections that were refused: no rule of ours needs one, so each is a defect or a break-in.

        Connections that were admitted are as many as requests, and each store has a log of its own.
        """
        group = logs.LogGroup(self, "Refusals", retention=kept_for(days), removal_policy=RemovalPolicy.DESTROY)
        self.vpc.add_flow_log(
            "RefusedConnections",
            destination=ec2.FlowLogDestination.to_cloud_watch_logs(group),
            traffic_type=ec2.FlowLogTrafficType.REJECT,
        )

    def _gateway_to_s3(self) -> Reach:
        """Add a route to S3, which costs nothing, to the objects of this account only."""
        gateway = self.vpc.add_gateway_endpoint("S3", service=ec2.GatewayVpcEndpointAwsService.S3)
        gateway.add_to_policy(
            iam.PolicyStatement(
                principals=[iam.AnyPrincipal()],
                # Many functions write; some list, read or delete what was written. Their roles say which objects.
                actions=[
                    "s3:DeleteObject",
                    "s3:GetObject",
                    "s3:GetObjectVersion",
                    "s3:ListBucket",
                    "s3:ListBucketVersions",
                    "s3:PutObject",
                ],
                resources=["*"],
                conditions={"StringEquals": {"aws:ResourceAccount": Aws.ACCOUNT_ID}},
            )
        )
        # A gateway has no security group, and the list of its addresses differs by region. Any address will do:
        # no other one has a route.
        return Reach(ec2.Peer.any_ipv4(), HTTPS_PORT)
