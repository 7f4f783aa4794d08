"""PostgreSQL: control data now, rollups later. Encrypted, TLS only, and functions log in as themselves."""

from aws_cdk import ArnFormat, Duration, RemovalPolicy, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_rds as rds
from constructs import Construct

from infra.building_blocks.findings import accept
from infra.network import Network
from infra.settings import Deployment

PORT = 5432
NAME = "sluice"


class Database(Construct):
    """The PostgreSQL instance with its rules."""

    def __init__(self, scope: Construct, name: str, *, deployment: Deployment, network: Network, key: kms.IKey) -> None:
        super().__init__(scope, name)
        size = deployment.profile.database
        keeps_data = deployment.profile.keeps_data
        engine = rds.DatabaseInstanceEngine.postgres(version=rds.PostgresEngineVersion.VER_18_3)
        self.security_group = ec2.SecurityGroup(
            self, "SecurityGroup", vpc=network.vpc, description="PostgreSQL", allow_all_outbound=False
        )
        self.instance = rds.DatabaseInstance(
            self,
            "Instance",
            engine=engine,
            instance_type=ec2.InstanceType(size.instance_type),
            vpc=network.vpc,
            vpc_subnets=network.subnets,
            security_groups=[self.security_group],
            publicly_accessible=False,
            port=PORT,
            database_name=NAME,
            multi_az=size.multi_az,
            storage_type=rds.StorageType.GP3,
            allocated_storage=size.storage_gib,
            max_allocated_storage=size.maximum_storage_gib,
            storage_encryption_key=key,
            # RDS keeps and rotates the administrator's password; only migrations read it.
            manage_master_user_password=True,
            credentials=rds.Credentials.from_username("postgres"),
            iam_authentication=True,
            ca_certificate=rds.CaCertificate.RDS_CA_RSA2048_G1,
            parameter_group=rds.ParameterGroup(
                self,
                "Parameters",
                engine=engine,
                parameters={
                    "rds.force_ssl": "1",
                    # Stated, because what functions may open is computed against it.
                    "max_connections": str(size.max_connections),
                },
            ),
            backup_retention=Duration.days(size.backup_days),
            delete_automated_backups=not keeps_data,
            copy_tags_to_snapshot=True,
            auto_minor_version_upgrade=True,
            deletion_protection=keeps_data,
            removal_policy=RemovalPolicy.SNAPSHOT if keeps_data else RemovalPolicy.DESTROY,
        )
        accept(self.instance, "RDS11", "who may connect is decided by security groups; another port would hide nothing")
        if not keeps_data:
            accept(self.instance, "RDS10", "a stage that keeps no data is meant to be deleted")
        if not size.multi_az:
            accept(self.instance, "RDS3", "a stage without devices that depend on it may wait for a zone")
        self.address = {
            "DATABASE_HOST": self.instance.db_instance_endpoint_address,
            "DATABASE_PORT": self.instance.db_instance_endpoint_port,
            "DATABASE_NAME": NAME,
        }
        secret = self.instance.secret
        if secret is None:
            raise RuntimeError("RDS manages the administrator's password, so there is a secret")
        self.administrator_secret_arn = secret.secret_arn

    def may_connect_as(self, user: str) -> iam.PolicyStatement:
        """Grant logging in as one database user with a token."""
        user_arn = Stack.of(self).format_arn(
            service="rds-db",
            resource="dbuser",
            resource_name=f"{self.instance.instance_resource_id}/{user}",
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        return iam.PolicyStatement(actions=["rds-db:connect"], resources=[user_arn])

    def may_administer(self) -> iam.PolicyStatement:
        """Grant reading the administrator's password."""
        return iam.PolicyStatement(actions=["secretsmanager:GetSecretValue"], resources=[self.administrator_secret_arn])
