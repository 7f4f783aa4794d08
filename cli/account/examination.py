"""Everything that is asked of an account, in the order in which a deployment needs it."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from cli.account.beginnings import find_bootstrap, find_stacks
from cli.account.needs import MissingError, Needs
from cli.account.offers import find_database, find_kafka, find_layer, find_zones
from cli.account.quotas import find_delivery, find_executions
from cli.aws import REMEMBER, OpenClient, open_client
from cli.stages import CommandError, Target
from local.findings import Finding

Check = Callable[[Needs, OpenClient, datetime], str]
"""Says what there is, or raises what is missing."""

CHECKS: tuple[tuple[str, Check], ...] = (
    ("bootstrap", find_bootstrap),
    ("stacks", find_stacks),
    ("zones", find_zones),
    ("Kafka", find_kafka),
    ("PostgreSQL", find_database),
    ("Firehose", find_delivery),
    ("layer", find_layer),
    ("Lambda", find_executions),
)


def examine(needs: Needs, target: Target, open_service: Callable[[Target, str], Any] = open_client) -> list[Finding]:
    """Ask everything. What does not answer is missing: a deployment would fail there."""

    @cache
    def client_of(service: str) -> Any:
        return open_service(target, service)

    now = datetime.now(UTC)
    return [_find_account(needs, client_of), *(_answer(what, check, needs, client_of, now) for what, check in CHECKS)]


def _find_account(needs: Needs, client_of: OpenClient) -> Finding:
    try:
        account = client_of("sts").get_caller_identity()["Account"]
    except (BotoCoreError, ClientError) as error:
        raise CommandError(f"AWS did not accept the credentials: {str(error).rstrip('.')}. {REMEMBER}", 2) from error
    return Finding("account", f"{account}, region {needs.deployment.region}")


def _answer(what: str, check: Check, needs: Needs, client_of: OpenClient, now: datetime) -> Finding:
    try:
        return Finding(what, check(needs, client_of, now))
    except MissingError as missing:
        return Finding(what, str(missing), True)
    except ClientError as error:
        code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
        denied = ": use credentials that may call it" if "Denied" in code or "Unauthorized" in code else ""
        return Finding(what, f"AWS answers {error.operation_name} with {code} ({message.rstrip('.')}){denied}", True)
    except (BotoCoreError, OSError) as error:
        return Finding(
            what, f"AWS did not answer ({str(error).rstrip('.')}): try again from where AWS is reached", True
        )
