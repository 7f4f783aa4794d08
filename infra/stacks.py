"""The three stacks of a deployment, and what each hands to the next."""

from collections.abc import Mapping

from aws_cdk import App, Environment, RemovalPolicy, Stack
from aws_cdk import aws_kms as kms

from infra.api.api import Api
from infra.building_blocks.base import Base
from infra.building_blocks.layers import Layers
from infra.building_blocks.operations import Operations
from infra.functions.aggregate import Aggregate
from infra.functions.archive import Archive
from infra.functions.deadletter import Deadletter
from infra.functions.ingest import Ingest
from infra.functions.lookup import Lookup
from infra.functions.maintain import Maintain
from infra.functions.migrate import Migrate
from infra.functions.pressure import Pressure
from infra.functions.query import Query
from infra.functions.recall import Recall
from infra.functions.reconcile import Reconcile
from infra.functions.roll import Roll
from infra.functions.salvage import Salvage
from infra.functions.seek import Seek
from infra.functions.show import Show
from infra.functions.tier import Tier
from infra.functions.trace import Trace
from infra.network import Network
from infra.profiles import profile_named
from infra.settings import Deployment
from infra.stores.cache import Cache
from infra.stores.database import Database
from infra.stores.lake import Lake
from infra.stores.stream import Stream


def define(context: Mapping[str, object], *, outdir: str) -> App:
    """Define the deployment that the context describes: its stage, profile and region."""
    app = App(context=dict(context), outdir=outdir, analytics_reporting=False)
    deployment = Deployment(
        stage=str(app.node.get_context("stage")),
        region=str(app.node.get_context("region")),
        profile=profile_named(str(app.node.get_context("profile"))),
        directory=app.node.try_get_context("directory"),
    )
    network = Network(_stack(app, deployment, "network", "private network"), "Network")

    data = _stack(app, deployment, "data", "Kafka, buckets, PostgreSQL, cache: what must survive a release")
    keeps_data = deployment.profile.keeps_data
    key = kms.Key(
        data,
        "Key",
        description=f"Sluice {deployment.stage}: everything at rest",
        enable_key_rotation=True,
        removal_policy=RemovalPolicy.RETAIN if keeps_data else RemovalPolicy.DESTROY,
    )
    operations = Operations(data, "Operations", deployment=deployment, key=key)
    stream = Stream(data, "Stream", deployment=deployment, operations=operations, network=network, key=key)
    lake = Lake(data, "Lake", deployment=deployment, operations=operations, key=key)
    database = Database(data, "Database", deployment=deployment, network=network, key=key)
    cache = Cache(data, "Cache", deployment=deployment, network=network, key=key)

    pipeline = _stack(app, deployment, "pipeline", "functions, their event sources and the API")
    base = Base(deployment, operations, network, Layers(pipeline, "Layers"))
    ingest = Ingest(
        pipeline,
        "Ingest",
        base=base,
        stream=stream,
        database=database,
        cache=cache,
    )
    archive = Archive(
        pipeline,
        "Archive",
        base=base,
        stream=stream,
        lake=lake,
        cache=cache,
        key=key,
    )
    aggregate = Aggregate(
        pipeline,
        "Aggregate",
        base=base,
        stream=stream,
        lake=lake,
        database=database,
        cache=cache,
        key=key,
    )
    Deadletter(
        pipeline,
        "Deadletter",
        base=base,
        stream=stream,
        lake=lake,
        key=key,
    )
    Salvage(
        pipeline,
        "Salvage",
        base=base,
        stream=stream,
        lake=lake,
        key=key,
    )
    roll = Roll(
        pipeline,
        "Roll",
        base=base,
        stream=stream,
        database=database,
    )
    tier = Tier(
        pipeline,
        "Tier",
        base=base,
        lake=lake,
        database=database,
        key=key,
    )
    reconcile = Reconcile(
        pipeline,
        "Reconcile",
        base=base,
        stream=stream,
        lake=lake,
        database=database,
        archive=archive.function,
        aggregate=aggregate.function,
        key=key,
    )
    maintain = Maintain(
        pipeline,
        "Maintain",
        base=base,
        database=database,
    )
    Pressure(
        pipeline,
        "Pressure",
        base=base,
        stream=stream,
        cache=cache,
    )
    lookup = Lookup(pipeline, "Lookup", base=base)
    recall = Recall(pipeline, "Recall", base=base, lake=lake, key=key)
    query = Query(
        pipeline,
        "Query",
        base=base,
        database=database,
        cache=cache,
        lookup=lookup.function,
        recall=recall.function,
    )
    seek = Seek(pipeline, "Seek", base=base, lake=lake, key=key)
    trace = Trace(
        pipeline,
        "Trace",
        base=base,
        database=database,
        cache=cache,
        seek=seek.function,
    )
    Migrate(
        pipeline,
        "Migrate",
        base=base,
        database=database,
        dependents=[ingest, aggregate, roll, maintain, query, tier, reconcile, trace],
    )
    show = Show(pipeline, "Show", base=base)
    Api(
        pipeline,
        "Api",
        deployment=deployment,
        operations=operations,
        ingest=ingest.entrance,
        query=query.function,
        trace=trace.function,
        show=show.function,
    )
    return app


def _stack(app: App, deployment: Deployment, name: str, purpose: str) -> Stack:
    return Stack(
        app,
        deployment.named(name),
        description=f"Sluice {deployment.stage}: {purpose}",
        # The region is part of file paths and of projections; the account is whoever deploys.
        env=Environment(region=deployment.region),
        termination_protection=deployment.profile.keeps_data,
    )
