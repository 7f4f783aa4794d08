"""Probe: posts an event every minute as a device does, and reads it back as a reader does, from outside our network.

find the keys, or make them -> post -> ask until the event is readable -> record how long that took
"""

import os
import uuid
from datetime import UTC, datetime
from functools import cache
from typing import Any

import msgspec
from aws_lambda_powertools import Logger

from sluice.edge import aws
from sluice.edge.metrics import metrics
from sluice.edge.probe.api_client import ApiClient, sign_with_role
from sluice.edge.probe.keyring import ANSWER_SECONDS, TRIES, Keyring
from sluice.edge.probe.probing import Probing
from sluice.edge.settings import ProbeSettings

logger = Logger()


@cache
def build() -> Probing:
    """Build the function, once per cold start."""
    settings = ProbeSettings.from_environ(os.environ)
    api = ApiClient(settings.api_address, sign_with_role(settings.aws_region))
    client = aws.client("secretsmanager", answer_seconds=ANSWER_SECONDS, tries=TRIES, region=settings.aws_region)
    return Probing(api, Keyring(api, client, settings.probe_secret_arn), settings.probe_patience_seconds)


@metrics.log_metrics
def handler(_event: object, _context: object) -> Any:
    """Run once."""
    probed = build().run(uuid.uuid4(), datetime.now(UTC))
    logger.info("a run of probe", extra=msgspec.to_builtins(probed))
    return msgspec.to_builtins(probed)
