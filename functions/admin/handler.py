"""Admin: control data, replays, dead letters and the audit, for principals whose signature the gateway has verified.

read the request -> decide what changes -> write it with its audit entries, in one transaction -> publish -> answer
"""

import os
import secrets
from datetime import timedelta
from functools import cache, partial
from typing import Any

from sluice.core.api.keys import ALPHABET
from sluice.core.api.requests import read_correlation_id
from sluice.core.control.api_keys import KeyPeriods
from sluice.edge import cache as valkey
from sluice.edge.cache import Cache
from sluice.edge.control.administration import Administration
from sluice.edge.control.allowances import Allowances
from sluice.edge.control.changing import Changer
from sluice.edge.control.destination_tests import DestinationTests
from sluice.edge.control.destinations import Destinations
from sluice.edge.control.fleets import Fleets
from sluice.edge.control.keys import Keys
from sluice.edge.control.publishing import make_publisher
from sluice.edge.control.redrives import Redrives
from sluice.edge.control.replays import Replays
from sluice.edge.control.rules import Rules
from sluice.edge.control.store import ControlStore
from sluice.edge.correlation import use_correlation_id
from sluice.edge.database import Database, connect
from sluice.edge.events.schemas import load_series
from sluice.edge.executions import start
from sluice.edge.invoked import InvokedFunction
from sluice.edge.metrics import metrics
from sluice.edge.settings import AdminSettings, CacheSettings, DatabaseSettings


@cache
def build() -> Administration:
    """Build the function, once per cold start."""
    settings, login = AdminSettings.from_environ(os.environ), DatabaseSettings.from_environ(os.environ)
    seconds = settings.admin_answer_seconds
    # The server's timeout must come first: its error names the reason.
    database = Database(partial(connect, login, seconds), seconds + 1)
    periods = KeyPeriods(timedelta(days=settings.key_overlap_days), timedelta(days=settings.reader_key_days))
    place = CacheSettings.from_environ(os.environ)
    store = ControlStore(database)
    changer = Changer(store, make_publisher(database, settings, place))
    region = settings.aws_region
    planner = InvokedFunction(settings.replay_function, settings.admin_replay_seconds, region)
    replays = Replays(store, planner, partial(start, settings.replay_machine))
    allowances = Allowances(store, Cache(partial(valkey.connect, place)))
    redrives = Redrives(store, InvokedFunction(settings.redrive_function, settings.admin_redrive_seconds, region))
    notify = InvokedFunction(settings.notify_function, settings.admin_notify_seconds, region)
    return Administration(
        store,
        Fleets(store, changer, region),
        Keys(store, changer, settings.sluice_stage, periods, draw),
        Rules(store, changer, load_series()),
        Destinations(store, changer, settings.sluice_stage),
        replays,
        redrives,
        allowances,
        DestinationTests(store, notify, settings.sluice_stage),
    )


def draw(length: int) -> str:
    """Draw random characters of the keys' alphabet."""
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


@metrics.log_metrics
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer one request."""
    with use_correlation_id(read_correlation_id(event)):
        return build().answer(event, 1 + secrets.randbelow(5)).for_gateway()
