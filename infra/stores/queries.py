"""Athena: where analysts work, what a query may cost, and the questions asked most."""

from aws_cdk import aws_athena as athena
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.settings import GIB, Deployment
from infra.stores.catalog import SQL, Catalog

NAMED_QUERIES = {
    "device_between": "raw_events",
    "metric_between": "raw_events",
    "type_between": "raw_events",
    "event_by_id": "raw_events",
    "dead_letters_by_reason": "dead_letters",
    "dead_letters_by_id": "dead_letters",
    "rollups_between": "rollups",
}
"""Each by the file it is in, with the table it reads."""


class Queries(Construct):
    """A workgroup nobody can query around, and named queries in it."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        deployment: Deployment,
        catalog: Catalog,
        results: s3.IBucket,
        key: kms.IKey,
    ) -> None:
        super().__init__(scope, name)
        self.workgroup = athena.CfnWorkGroup(
            self,
            "WorkGroup",
            name=deployment.named("analysts"),
            # Saved queries and history go with the workgroup; without this its deletion would fail.
            recursive_delete_option=True,
            work_group_configuration=athena.CfnWorkGroup.WorkGroupConfigurationProperty(
                enforce_work_group_configuration=True,
                bytes_scanned_cutoff_per_query=deployment.profile.query_scan_limit_gib * GIB,
                engine_version=athena.CfnWorkGroup.EngineVersionProperty(
                    selected_engine_version="Athena engine version 3"
                ),
                publish_cloud_watch_metrics_enabled=True,
                result_configuration=athena.CfnWorkGroup.ResultConfigurationProperty(
                    output_location=f"s3://{results.bucket_name}/",
                    encryption_configuration=athena.CfnWorkGroup.EncryptionConfigurationProperty(
                        encryption_option="SSE_KMS", kms_key=key.key_arn
                    ),
                ),
            ),
        )
        for query, table in NAMED_QUERIES.items():
            sql = (SQL / f"{query}.sql").read_text()
            named = athena.CfnNamedQuery(
                self,
                "".join(word.capitalize() for word in query.split("_")),
                name=query,
                database=catalog.database_name,
                work_group=self.workgroup.name,
                query_string=sql,
                description=sql.splitlines()[0].removeprefix("-- "),
            )
            named.add_resource_dependency(self.workgroup)
            named.add_resource_dependency(catalog.tables[table])
