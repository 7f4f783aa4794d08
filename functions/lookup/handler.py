"""Lookup: queries an external directory for query and learn, from outside our network.

question -> the directory's answer within its bounds, or why none exists
"""

import os
from functools import cache
from typing import Any

import msgspec
from aws_lambda_powertools import Logger

from sluice.core.metrics import DIRECTORY_UNAVAILABLE
from sluice.core.query.groups import GroupAnswer, GroupQuestion
from sluice.edge.correlation import use_correlation_id
from sluice.edge.metrics import metrics, record
from sluice.edge.query.directory import Directory
from sluice.edge.settings import DirectorySettings

logger = Logger()


@cache
def build() -> Directory:
    """Build the function, once per cold start."""
    return Directory(DirectorySettings.from_environ(os.environ))


@metrics.log_metrics
def handler(event: dict[str, Any], _context: object) -> Any:
    """Answer one question."""
    wanted = msgspec.convert(event, GroupQuestion)
    with use_correlation_id(wanted.correlation_id):
        return msgspec.to_builtins(lookup(wanted, build()))


def lookup(wanted: GroupQuestion, directory: Directory) -> GroupAnswer:
    """Ask the directory; a missing answer is a normal result here, not an error."""
    told = directory.ask(wanted)
    record(DIRECTORY_UNAVAILABLE, told.problem == "unavailable")
    if told.problem == "unavailable":
        logger.warning("the directory did not answer", reason=told.detail)
    return told
