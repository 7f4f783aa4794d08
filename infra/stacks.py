"""The four stacks of a deployment and what each passes to the next, and a fifth that a deployment may ask for."""

from collections.abc import Mapping
from dataclasses import replace

from aws_cdk import App, Environment, Stack
from aws_cdk import aws_kms as kms

from infra.api import firewall
from infra.api.api import Api
from infra.api.roles import Roles
from infra.building_blocks.base import Base
from infra.building_blocks.foundation import Foundation
from infra.building_blocks.layers import Layers
from infra.building_blocks.operations import Operations
from infra.building_blocks.retention import removal_from
from infra.building_blocks.shift import Shifts
from infra.building_blocks.state_machine import describe_access, start_access
from infra.deployment import Deployment
from infra.functions.admin import Admin
from infra.functions.aggregate import Aggregate
from infra.functions.alert import Alert
from infra.functions.archive import Archive
from infra.functions.attend import Attend
from infra.functions.backtest import Backtest
from infra.functions.checkpoint import Checkpoint
from infra.functions.deadletter import Deadletter
from infra.functions.detect import Detect
from infra.functions.ingest import Ingest
from infra.functions.learn import Learn
from infra.functions.lookup import Lookup
from infra.functions.maintain import Maintain
from infra.functions.match import Match
from infra.functions.migrate import Migrate
from infra.functions.notify import Notify
from infra.functions.pressure import Pressure
from infra.functions.probe import Probe
from infra.functions.publish import Publish
from infra.functions.query import Query
from infra.functions.recall import Recall
from infra.functions.reconcile import Reconcile
from infra.functions.recount import Recount
from infra.functions.redrive import Redrive
from infra.functions.replay import Replay
from infra.functions.resend import Resend
from infra.functions.roll import Roll
from infra.functions.salvage import Salvage
from infra.functions.seek import Seek
from infra.functions.show import Show
from infra.functions.tier import Tier
from infra.functions.trace import Trace
from infra.network import Network
from infra.options import read_options
from infra.profiles import profile_named
from infra.stores.alerting import Alerting
from infra.stores.cache import Cache
from infra.stores.checkpoints import Checkpoints
from infra.stores.control_data import ControlData
from infra.stores.database import Database
from infra.stores.lake import Lake
from infra.stores.notifications import Notifications
from infra.stores.stream import Stream
from infra.watch.availability import Availability
from infra.watch.dashboards import Dashboards
from infra.watch.outages import Outages
from infra.workflows.replay import NAME as REPLAY
from infra.workflows.replay import ReplayMachine


def define(context: Mapping[str, object], *, outdir: str) -> App:
    """Define the deployment that the context describes: its stage, profile and region."""
    app = App(context=dict(context), outdir=outdir, analytics_reporting=False)
    region = str(app.node.get_context("region"))
    options = read_options(app.node.try_get_context, region)
    profile = options.apply(profile_named(str(app.node.get_context("profile"))))
    deployment = Deployment(
        stage=str(app.node.get_context("stage")),
        region=region,
        log_days=profile.log_days,
        keeps_data=profile.keeps_data,
        first=options.first,
        reserves=options.reserves,
    )
    network = Network(
        _stack(app, deployment, "network", "private network"),
        "Network",
        deployment,
        zones=options.zones,
        cidr=options.cidr,
    )

    data = _stack(app, deployment, "data", "Kafka, buckets, PostgreSQL, cache: what must survive a release")
    key = kms.Key(
        data,
        "Key",
        description=f"Sluice {deployment.stage}: everything at rest",
        enable_key_rotation=True,
        removal_policy=removal_from(deployment),
    )
    operations = Operations(
        data,
        "Operations",
        deployment=deployment,
        key=key,
        monthly_budget_usd=profile.monthly_budget_usd,
        email=app.node.try_get_context("alarm_email"),
    )
    foundation = Foundation(deployment=deployment, operations=operations, network=network, key=key)
    stream = Stream(data, foundation, profile.brokers, profile.topics)
    lake = Lake(
        data,
        foundation,
        retention=profile.retention,
        delivery=profile.delivery,
        scan_limit_gib=profile.query_scan_limit_gib,
    )
    database = Database(data, foundation, profile.database, restored=options.restored)
    cache = Cache(data, foundation, profile.cache)
    checkpoints = Checkpoints(data, foundation, profile.checkpoint.lock)
    alerting = Alerting(data, foundation)

    pipeline = _stack(app, deployment, "pipeline", "functions, their event sources and the API")
    layers = Layers(pipeline, "Layers")
    base = Base(
        **vars(foundation),
        layers=layers,
        # Its deployments are the history of the stage's releases.
        shifts=Shifts(data, "Shifts", deployment, minutes=profile.shift_minutes),
        stream=stream,
        lake=lake,
        database=database,
        cache=cache,
        control_data=ControlData(data, lake.buckets.control, network, migrations=database.migrations),
        checkpoints=checkpoints,
        alerting=alerting,
    )
    # The address depends on no function, so functions may know it.
    truststore = options.firewall.truststore if options.firewall else None
    api = Api(pipeline, base, domain=options.domain, truststore=truststore)
    background = _stack(
        app,
        deployment,
        "background",
        "the eight scheduled functions that events and requests do not need for an hour; what pages; dashboards",
    )
    # Layers change with releases, and an export cannot change while another stack imports it: these are its own.
    background_base = replace(base, layers=Layers(background, "Layers"))
    # How long ingest may still be storing what it received.
    deadline = profile.ingest.produce_deadline_seconds

    ingest = Ingest(pipeline, base, profile.ingest, keys=profile.keys)
    archive = Archive(pipeline, base, profile.archive)
    aggregate = Aggregate(pipeline, base, profile.aggregate)
    Deadletter(pipeline, base, profile.deadletter)
    Salvage(pipeline, base, profile.salvage)
    Pressure(pipeline, base, profile.pressure, produce_deadline_seconds=deadline)

    Roll(background, background_base, profile.roll, produce_deadline_seconds=deadline)
    Tier(background, background_base, profile.tier, rollup_days=profile.retention.rollup_days)
    Maintain(background, background_base, profile.maintain)
    Probe(background, background_base, profile.probe, api=api.gateway, address=api.address)
    Migrate(pipeline, base, profile.migrate)
    Checkpoint(background, background_base, profile.checkpoint)
    consumers = [archive, aggregate]
    Reconcile(pipeline, base, profile.reconcile, produce_deadline_seconds=deadline, consumers=consumers)

    Match(background, background_base, profile.match)
    Detect(pipeline, base, profile.detect, rules=profile.rules)
    lookup = Lookup(pipeline, base, profile.lookup, directory=app.node.try_get_context("directory"))
    Learn(pipeline, base, profile.learn, rules=profile.rules, lookup=lookup)

    Alert(pipeline, base, profile.alert, dashboard=api.address)
    Attend(background, background_base, profile.attend, dashboard=api.address)
    Backtest(background, background_base, profile.backtest, learn=profile.learn)
    notify = Notify(pipeline, base, profile.notify, Notifications(data, foundation, alerting.in_order))

    redrive = Redrive(
        pipeline,
        base,
        profile.redrive,
        dead_letter_days=profile.retention.dead_letter_days,
        consumers=consumers,
    )
    query = Query(
        pipeline,
        base,
        profile.query,
        keys=profile.keys,
        change_hours=profile.maintain.change_hours,
        lookup=lookup,
        recall=Recall(pipeline, base, profile.recall),
        redrive=redrive,
    )
    trace = Trace(
        pipeline,
        base,
        profile.trace,
        keys=profile.keys,
        visible_seconds=profile.visible_seconds,
        seek=Seek(pipeline, base, profile.seek),
    )
    replay = Replay(
        pipeline,
        base,
        profile.replay,
        resend=profile.resend,
        raw_days=profile.retention.raw_days,
        machine=describe_access(pipeline, foundation, REPLAY),
    )
    Recount(pipeline, base, profile.recount)
    resend = Resend(pipeline, base, profile.resend)
    ReplayMachine(
        pipeline,
        base,
        profile.replay,
        replay=replay,
        resend=resend,
        at_once=profile.resend.compute.concurrency,
    )

    show = Show(pipeline, base, profile.show)
    Publish(pipeline, base, profile.publish)
    machine = start_access(pipeline, foundation, REPLAY)
    admin = Admin(pipeline, base, profile.admin, replay=replay, machine=machine, redrive=redrive, notify=notify)
    doors = [ingest.door, query.door, trace.door, show.door, admin.door]
    api.open(doors)
    admins = app.node.try_get_context("admins")
    Roles(pipeline, deployment, api.gateway, checkpoints, lake.trail, admins=admins)

    # The last stack: what it names is there.
    Availability(background, foundation, api_id=api.gateway.api_id, doors=[ingest, query, trace, show, admin])
    Outages(background, foundation)
    Dashboards(
        background,
        foundation,
        api_id=api.gateway.api_id,
        database=database.identifier,
        brokers=profile.brokers.count,
        streams=profile.delivery.streams,
    )
    if options.domain and options.firewall:
        # Last too: nothing here waits for it, and it answers at once under a name that nothing leads to yet.
        firewall.Firewall(
            _stack(app, deployment, "firewall", "CloudFront and WAF in front of the API", region=firewall.REGION),
            deployment,
            domain=options.domain.name,
            certificates=options.firewall,
            throttles={route: throttle for door in doors for route, throttle in door.limits.items()},
        )
    return app


def _stack(app: App, deployment: Deployment, name: str, purpose: str, *, region: str | None = None) -> Stack:
    return Stack(
        app,
        deployment.named(name),
        description=f"Sluice {deployment.stage}: {purpose}",
        # The region is part of file paths and of projections; the account is that of the deployer.
        env=Environment(region=region or deployment.region),
        termination_protection=deployment.protected,
    )
