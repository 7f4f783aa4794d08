"""Seek: searches the files through Athena for trace, from outside our network.

question -> two queries in parallel -> the rows that arrived in time, or why none did
"""

import os
from functools import cache
from typing import Any

import msgspec
from aws_lambda_powertools import Logger

from sluice.core.metrics import SEARCHES_UNANSWERED
from sluice.core.trace.lake_search import EventSearch, SearchResult
from sluice.edge import aws
from sluice.edge.correlation import use_correlation_id
from sluice.edge.metrics import metrics, record
from sluice.edge.settings import SeekSettings
from sluice.edge.trace.athena import CALL_SECONDS, TRIES, Athena
from sluice.edge.trace.lake_search import Seeker

logger = Logger()


@cache
def build() -> Seeker:
    """Build the function, once per cold start."""
    settings = SeekSettings.from_environ(os.environ)
    client = aws.client("athena", answer_seconds=CALL_SECONDS, tries=TRIES, region=settings.aws_region)
    return Seeker(Athena(client, settings.athena_workgroup, settings.athena_database, settings.athena_seconds))


@metrics.log_metrics
def handler(event: dict[str, Any], _context: object) -> Any:
    """Answer one question."""
    wanted = msgspec.convert(event, EventSearch)
    with use_correlation_id(wanted.correlation_id):
        return msgspec.to_builtins(seek(wanted, build()))


def seek(wanted: EventSearch, seeker: Seeker) -> SearchResult:
    """Look for the event; a missing answer of Athena is a normal result, not an error."""
    found = seeker.seek(wanted)
    record(SEARCHES_UNANSWERED, found.problem is not None)
    if found.problem is not None:
        logger.warning("Athena did not answer", problem=found.problem, reason=found.detail)
    return found
