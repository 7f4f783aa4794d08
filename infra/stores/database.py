"""PostgreSQL: control data, samples and rollups. Encrypted, TLS only, and functions log in as themselves."""

import re
from dataclasses import dataclass

from aws_cdk import ArnFormat, Duration, RemovalPolicy, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_rds as rds
from constructs import Construct, DependencyGroup

from infra.building_blocks.access import Access, Reach
from infra.building_blocks.findings import accept
from infra.building_blocks.foundation import Foundation
from infra.building_blocks.layers import ROOT
from infra.building_blocks.operations import TROUBLE, UNKNOWN, Operations, counted
from infra.building_blocks.retention import kept_for
from infra.deployment import GIB, require
from sluice.edge.settings import DatabaseSettings, OwnerSettings

PORT = 5432
#: Where a function finds the certificates of the layer `sluice`.
ROOTS = "certificates/rds.pem"
NAME = "sluice"
MAJOR = "18"
"""PostgreSQL's major release."""
CONNECT_SECONDS = 2
"""How long a function tries to open a connection; a test holds it against the code."""
FULL_PERCENT = 95
"""RDS adds storage from 90 % on: more than this means that it does not, or not fast enough."""
BUSY_PERCENT = 80
CONNECTIONS_PERCENT = 80
"""Functions are sized to take 60 % of the connections."""


@dataclass(frozen=True)
class DatabaseProfile:
    """The PostgreSQL instance's size."""

    instance_type: str
    storage_gib: int
    maximum_storage_gib: int
    max_connections: int
    multi_az: bool
    backup_days: int


@dataclass(frozen=True)
class Restored:
    """An instance that was restored and renamed: CloudFormation takes it for the one that it created.

    It has the same address, and not the same id and administrator's secret.
    """

    resource_id: str
    secret_arn: str

    def __post_init__(self) -> None:
        require(
            re.fullmatch(r"db-[A-Z0-9]{20,40}", self.resource_id) is not None,
            f"restored_database {self.resource_id!r} is no DbiResourceId, as db-ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        )
        require(
            re.fullmatch(r"arn:[a-z-]+:secretsmanager:[a-z0-9-]+:\d{12}:secret:\S+", self.secret_arn) is not None,
            f"restored_secret {self.secret_arn!r} is not the ARN of a secret, which a restored database needs",
        )


class Database(Construct):
    """The PostgreSQL instance with its rules."""

    def __init__(
        self, scope: Construct, foundation: Foundation, settings: DatabaseProfile, *, restored: Restored | None = None
    ) -> None:
        super().__init__(scope, "Database")
        self._security_group = ec2.SecurityGroup(
            self, "SecurityGroup", vpc=foundation.network.vpc, description="PostgreSQL", allow_all_outbound=False
        )
        region = foundation.deployment.region
        require(
            f"\n# {region}\n" in (ROOT / "layers" / "sluice" / ROOTS).read_text(),
            f"{ROOTS} has no certificate of {region}: no function would trust the database there",
        )
        self._instance = self._define(foundation, settings)
        self.identifier = self._instance.instance_identifier
        self._resource_id, self._secret_arn = self._identify(restored)
        if not foundation.deployment.keeps_data:
            accept(self._instance, "RDS10", "a stage that keeps no data is meant to be deleted")
        if not settings.multi_az:
            accept(self._instance, "RDS3", "no devices depend on this stage: it may wait until a failed zone is back")
        self.migrations = DependencyGroup()
        """What updates the schema. Functions that use the database are deployed after it."""
        self._watch(foundation.operations, settings)

    def access(self, verb: str) -> Access:
        """Let a function log in as a user of its own, once the schema is up to date."""
        user = f"{NAME}_{verb}"
        arn = Stack.of(self).format_arn(
            service="rds-db",
            resource="dbuser",
            resource_name=f"{self._resource_id}/{user}",
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )
        return Access(
            grants=[iam.PolicyStatement(actions=["rds-db:connect"], resources=[arn])],
            reads=[DatabaseSettings],
            facts={**self._address(), "database_user": user, "database_auth": "iam"},
            reaches=[Reach(self._security_group, PORT)],
            libraries=["database"],
            after=[self.migrations],
        )

    def ownership(self, way_to_secrets: Reach) -> Access:
        """Let migrations log in as the schema's owner, with the administrator's password."""
        return Access(
            grants=[iam.PolicyStatement(actions=["secretsmanager:GetSecretValue"], resources=[self._secret_arn])],
            reads=[OwnerSettings],
            facts={**self._address(), "database_secret_arn": self._secret_arn, "database_auth": "secret"},
            reaches=[Reach(self._security_group, PORT), way_to_secrets],
            libraries=["database"],
        )

    def _watch(self, operations: Operations, settings: DatabaseProfile) -> None:
        def measured(name: str, statistic: str) -> cloudwatch.Metric:
            instance = {"DBInstanceIdentifier": self.identifier}
            return counted("AWS/RDS", name, instance, minutes=5, statistic=statistic)

        operations.alarm(
            self,
            "silent",
            metric=cloudwatch.MathExpression(
                expression="reports < 1",
                using_metrics={"reports": measured("DatabaseConnections", "SampleCount")},
                period=Duration.minutes(5),
            ),
            no_data=TROUBLE,
            means="The database has reported nothing for five minutes: it is stopped, restarted or out of reach.",
        )
        operations.alarm(
            self,
            "storage",
            metric=cloudwatch.MathExpression(
                expression=f"100 - 100 * free / {settings.storage_gib * GIB}",
                using_metrics={"free": measured("FreeStorageSpace", "Minimum")},
                period=Duration.minutes(5),
            ),
            above=FULL_PERCENT,
            times=3,
            no_data=UNKNOWN,
            means=f"Less than {100 - FULL_PERCENT} % of the database's first size is free, and RDS has not added"
            " storage. Without any the database stops.",
        )
        operations.alarm(
            self,
            "cpu",
            metric=measured("CPUUtilization", "Average"),
            above=BUSY_PERCENT,
            times=3,
            no_data=UNKNOWN,
            means=f"The database's processors have been more than {BUSY_PERCENT} % busy for a quarter of an hour.",
        )
        operations.alarm(
            self,
            "connections",
            metric=measured("DatabaseConnections", "Maximum"),
            above=settings.max_connections * CONNECTIONS_PERCENT // 100,
            times=3,
            no_data=UNKNOWN,
            means=f"More than {CONNECTIONS_PERCENT} % of the database's {settings.max_connections} connections are"
            " used. Without a free one, functions fail.",
        )

    def _identify(self, restored: Restored | None) -> tuple[str, str]:
        """Return the id under which functions log in, and the administrator's secret."""
        secret, resource_id = self._instance.secret, self._instance.instance_resource_id
        if secret is None or resource_id is None:
            raise RuntimeError("RDS manages the password, so there is a secret, and each instance has an id")
        if restored is None:
            return resource_id, secret.secret_arn
        # The stack that imports them is updated later than this one: until then the exports must stay.
        for imported in (resource_id, secret.secret_arn):
            Stack.of(self).export_value(imported)
        return restored.resource_id, restored.secret_arn

    def _address(self) -> dict[str, str]:
        return {
            "database_host": self._instance.db_instance_endpoint_address,
            "database_port": self._instance.db_instance_endpoint_port,
            "database_name": NAME,
            "database_roots": f"/opt/{ROOTS}",
        }

    def _define(self, foundation: Foundation, settings: DatabaseProfile) -> rds.DatabaseInstance:
        network, keeps_data = foundation.network, foundation.deployment.keeps_data
        # RDS chooses the minor release, and moves on by itself: one that is named here disappears some day.
        engine = rds.DatabaseInstanceEngine.postgres(version=rds.PostgresEngineVersion.of(MAJOR, MAJOR))
        instance = rds.DatabaseInstance(
            self,
            "Instance",
            engine=engine,
            instance_type=ec2.InstanceType(settings.instance_type),
            vpc=network.vpc,
            vpc_subnets=network.subnets,
            security_groups=[self._security_group],
            publicly_accessible=False,
            port=PORT,
            database_name=NAME,
            multi_az=settings.multi_az,
            storage_type=rds.StorageType.GP3,
            allocated_storage=settings.storage_gib,
            max_allocated_storage=settings.maximum_storage_gib,
            storage_encryption_key=foundation.key,
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
                    # Stated, because the functions' connections are computed against it.
                    "max_connections": str(settings.max_connections),
                    # Seconds. After each checkpoint the log takes every changed page whole again, and backups keep it.
                    "checkpoint_timeout": "900",
                },
            ),
            backup_retention=Duration.days(settings.backup_days),
            delete_automated_backups=not keeps_data,
            copy_tags_to_snapshot=True,
            auto_minor_version_upgrade=True,
            # Failed logins, refused statements and what is slow stay readable when the instance is gone.
            cloudwatch_logs_exports=["postgresql"],
            cloudwatch_logs_retention=kept_for(foundation.deployment.log_days),
            deletion_protection=foundation.deployment.protected,
            removal_policy=RemovalPolicy.SNAPSHOT if keeps_data else RemovalPolicy.DESTROY,
        )
        accept(instance, "RDS11", "security groups decide which functions connect: another port would hide nothing")
        return instance
