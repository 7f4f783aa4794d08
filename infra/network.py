"""The private network: isolated subnets in three zones, and the endpoints that replace a way out."""

from collections.abc import Sequence
from functools import cached_property

from aws_cdk import Aws, Fn
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.building_blocks.access import Reach
from infra.building_blocks.findings import accept

AVAILABILITY_ZONES = 3
SUBNET_BITS = 20
"""Of a subnet's mask: 4,096 addresses, of which functions, brokers and endpoints take some hundred."""
HTTPS_PORT = 443


class Network(Construct):
    """A VPC without internet gateway or NAT: functions inside reach our stores, seven AWS services, and state machines.

    Each service has an endpoint. A function names the endpoints that it needs.
    """

    def __init__(
        self, scope: Construct, name: str, *, zones: Sequence[str] | None = None, cidr: str | None = None
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
        accept(self.vpc, "VPC7", "isolated subnets and rules from group to group leave a flow log nothing to discover")
        self.subnets = ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)
        # Kafka and the databases are inside; event sources in provisioned mode bring their own way to Lambda.
        self.firehose = self._endpoint("Firehose", ec2.InterfaceVpcEndpointAwsService.KINESIS_FIREHOSE)
        # Only migrations use it, at a deployment. An endpoint is billed for each zone, and all zones reach this one.
        self.secrets = self._endpoint("Secrets", ec2.InterfaceVpcEndpointAwsService.SECRETS_MANAGER, zones=1)
        # For calls between functions: some reach what others cannot.
        self.lambdas = self._endpoint("Lambda", ec2.InterfaceVpcEndpointAwsService.LAMBDA_)
        # Only signing checkpoints uses it, and can wait for a zone. Services that encrypt reach KMS by themselves.
        self.kms = self._endpoint("Kms", ec2.InterfaceVpcEndpointAwsService.KMS, zones=1)
        # Only CloudWatch reports how full the brokers' disks are.
        self.monitoring = self._endpoint("Monitoring", ec2.InterfaceVpcEndpointAwsService.CLOUDWATCH_MONITORING)
        # Alerts must leave while a zone is down.
        self.sns = self._endpoint("Sns", ec2.InterfaceVpcEndpointAwsService.SNS)
        self.s3 = self._gateway_to_s3()

    @cached_property
    def states(self) -> Reach:
        """The way to state machines, which exists where a function names it: an endpoint is billed by the hour.

        Only people's requests use it, a few a day, and can wait for a zone.
        """
        return self._endpoint("States", ec2.InterfaceVpcEndpointAwsService.STEP_FUNCTIONS, zones=1)

    def _endpoint(self, name: str, service: ec2.IInterfaceVpcEndpointService, zones: int = AVAILABILITY_ZONES) -> Reach:
        """Add an interface endpoint, whose security group admits only functions that name it."""
        door = ec2.SecurityGroup(
            self, f"{name}Door", vpc=self.vpc, description=f"{name} endpoint", allow_all_outbound=False
        )
        ec2.InterfaceVpcEndpoint(
            self,
            name,
            vpc=self.vpc,
            service=service,
            subnets=ec2.SubnetSelection(subnets=self.vpc.isolated_subnets[:zones]),
            security_groups=[door],
            open=False,
        )
        return Reach(door, HTTPS_PORT)

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
