"""Recall: reads rollups that were moved to files, for query.

question -> the parts of files that may hold the wanted rows -> rows as the database had them, or a refusal if too many
"""

import os
from functools import cache
from typing import Any

import msgspec

from sluice.core.metrics import FILES_ASKED, ROWS_RECALLED
from sluice.core.rollup_archive.recall import RecallAnswer, RecallQuestion
from sluice.edge import aws
from sluice.edge.correlation import use_correlation_id
from sluice.edge.metrics import metrics, record
from sluice.edge.rollup_archive.recalling import READERS, Recaller
from sluice.edge.settings import RecallSettings

ANSWER_SECONDS, TRIES = 4, 2  # query waits no longer, and its caller retries


@cache
def build() -> Recaller:
    """Build the function, once per cold start."""
    settings = RecallSettings.from_environ(os.environ)
    s3 = aws.client("s3", answer_seconds=ANSWER_SECONDS, tries=TRIES, connections=READERS)
    return Recaller(s3, settings.rollup_bucket)


@metrics.log_metrics
def handler(event: dict[str, Any], _context: object) -> Any:
    """Answer one question."""
    question = msgspec.convert(event, RecallQuestion)
    with use_correlation_id(question.correlation_id):
        return msgspec.to_builtins(recall(question, build()))


def recall(question: RecallQuestion, recaller: Recaller) -> RecallAnswer:
    """Read the rows; too many rows are a normal result, not an error."""
    record(FILES_ASKED, len(question.objects))
    answer = recaller.recall(question)
    record(ROWS_RECALLED, len(answer.rows))
    return answer
