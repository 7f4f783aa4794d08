"""Query: answers a reader's question with numbers and their state.

authenticate -> admit by rate -> check the key's fleet -> read the question -> look up -> one document with its tag
"""

import os
import secrets
import time
from collections.abc import Callable
from datetime import timedelta
from functools import cache, partial
from typing import Any

from sluice.core.api.keys import Site
from sluice.core.api.requests import read_correlation_id
from sluice.core.breaker import Breaker
from sluice.core.query.groups import GroupAnswer
from sluice.edge import cache as valkey
from sluice.edge.api.gate import Gate
from sluice.edge.api.keystore import KeyStore, make_keystore
from sluice.edge.api.quotas import Quotas
from sluice.edge.cache import Cache
from sluice.edge.correlation import use_correlation_id
from sluice.edge.database import Database, connect
from sluice.edge.invoked import InvokedFunction
from sluice.edge.metrics import metrics
from sluice.edge.query.entities import Entities
from sluice.edge.query.groups import Groups
from sluice.edge.query.history import Historian
from sluice.edge.query.letter_groups import FleetLetters
from sluice.edge.query.reading import Reader
from sluice.edge.query.rollup_archive import RollupArchive
from sluice.edge.query.rollups import RollupReader
from sluice.edge.query.routes import Query, Sources
from sluice.edge.samples.counters import Counters
from sluice.edge.settings import CacheSettings, DatabaseSettings, QuerySettings

BREAKS_AFTER = 3  # unanswered questions to the directory in a row


@cache
def build() -> Query:
    """Build the function, once per cold start."""
    settings = QuerySettings.from_environ(os.environ)
    login, place = DatabaseSettings.from_environ(os.environ), CacheSettings.from_environ(os.environ)
    seconds = settings.query_answer_seconds
    # The server's timeout must come first: its error names the reason.
    store, shared = Database(partial(connect, login, seconds), seconds + 1), Cache(partial(valkey.connect, place))
    return compose(settings, make_keystore(settings, shared), store, shared)


def compose(
    settings: QuerySettings,
    keys: KeyStore,
    store: Database,
    shared: Cache,
    invoked: Callable[[str, float, str], InvokedFunction] = InvokedFunction,
) -> Query:
    """Build query from its stores and other functions of ours."""
    quotas = Quotas(shared, settings.query_concurrency)
    lookup = invoked(settings.lookup_function, settings.lookup_seconds, settings.aws_region)
    recall = invoked(settings.recall_function, settings.recall_seconds, settings.aws_region)
    redrive = invoked(settings.redrive_function, settings.letters_seconds, settings.aws_region)
    directory = Breaker("the directory", settings.lookup_rest_seconds, time.monotonic, failures=BREAKS_AFTER)
    believed = timedelta(seconds=settings.group_believed_seconds)
    reader = Reader(store, settings.query_answer_seconds)
    entities = Entities(reader)
    sources = Sources(
        timedelta(seconds=settings.recent_seconds),
        timedelta(hours=settings.change_hours),
        reader,
        entities,
        Historian(entities, RollupReader(reader), RollupArchive(reader, recall)),
        Groups(partial(lookup.ask, kind=GroupAnswer), shared, directory, believed),
        Counters(shared),
        FleetLetters(redrive, quotas, shared, timedelta(seconds=settings.letters_believed_seconds)),
    )
    return Query(
        Gate(
            "reader", Site(settings.sluice_stage, settings.aws_region), settings.query_requests_per_second, keys, quotas
        ),
        sources,
    )


@metrics.log_metrics
def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer one request."""
    with use_correlation_id(read_correlation_id(event)):
        return build().answer(event, retry_after=1 + secrets.randbelow(5)).for_gateway()
