"""Checkpoint: signs the newest entry of the audit, and stores the signature where no one can alter it.

read the newest checkpoint -> verify the audit against it -> sign the newest entry -> store it under Object Lock
"""

import os
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from aws_lambda_powertools import Logger

from sluice.core.control.checkpoints import BadCheckpoint
from sluice.core.control.verification import Broken
from sluice.core.errors import Retryable
from sluice.core.metrics import AUDIT_ALTERED, CHECKPOINTS_SIGNED, ENTRIES_UNSIGNED
from sluice.edge import aws
from sluice.edge.context import Context, seconds_to_work
from sluice.edge.control.checkpoint_bucket import CheckpointBucket
from sluice.edge.control.checkpointing import Checkpointing
from sluice.edge.control.signing import Signer
from sluice.edge.control.store import ControlStore
from sluice.edge.database import Database, connect
from sluice.edge.metrics import metrics, record, record_all
from sluice.edge.settings import CheckpointSettings, DatabaseSettings

logger = Logger()

ANSWER_SECONDS, TRIES = 5, 3  # for S3 and KMS: small objects and short texts


@metrics.log_metrics
def handler(_event: object, context: Context) -> dict[str, Any]:
    """Verify and sign once."""
    settings = CheckpointSettings.from_environ(os.environ)
    login = DatabaseSettings.from_environ(os.environ)
    s3, kms = (
        aws.client(service, answer_seconds=ANSWER_SECONDS, tries=TRIES, region=settings.aws_region)
        for service in ("s3", "kms")
    )
    database = Database(partial(connect, login, settings.statement_seconds), seconds_to_work(context))
    # Runs are rare, and an idle connection would be cut between them.
    with closing(database):
        run = Checkpointing(
            ControlStore(database),
            CheckpointBucket(s3, settings.checkpoint_bucket),
            Signer(kms, settings.checkpoint_key),
            settings.sluice_stage,
            timedelta(days=settings.checkpoint_lock_days) / 2,
        )
        return check(run, datetime.now(UTC))


def check(checkpointing: Checkpointing, now: datetime) -> dict[str, Any]:
    """Run, and report what happened."""
    try:
        run = checkpointing.run(now)
    except Retryable as error:
        # Not an error: if its metrics are missing for half an hour, the alarm on EntriesUnsigned fires.
        logger.warning("the run ends early", extra={"reason": str(error)})
        return {}
    except (Broken, BadCheckpoint) as error:
        record(AUDIT_ALTERED, 1)
        logger.exception("the audit or its checkpoint was altered, and nothing is signed")
        return {"altered": str(error)}
    record_all({AUDIT_ALTERED: 0, CHECKPOINTS_SIGNED: int(run.signed is not None), ENTRIES_UNSIGNED: run.unsigned})
    return {"signed": run.signed, "unsigned": run.unsigned}
