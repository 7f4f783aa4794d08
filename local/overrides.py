"""Everything in which the local stack differs from what the templates say; nothing else may.

Hosts and ports are not here: they are attributes of resources, and resolve to the parts that run locally.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from local.resources.services import Services

#: A laptop has few cores: what is admitted beyond waits for a worker, so that throttles come where AWS has them.
#: A worker mostly waits for brokers or a database, so that there are more of them than cores.
#: Those of a function that devices post to are started before the stack is healthy, in every profile:
#: AWS starts a burst's environments on as many machines as that takes; a few cores would do it while devices wait.
#: So is one of each function that reads a topic: the first events would wait for it and share the cores with its start.
WORKERS_PER_FUNCTION = 8

#: Pollers are processes of AWS's own; here they are threads of one.
POLLERS_PER_MAPPING = 2

#: How long a minute of a schedule or of an alarm's period lasts: a person at a laptop does not wait for real ones, and
#: AWS has no shorter rate.
MINUTE_SECONDS = 5.0

#: What functions sign with, beside their own names.
SECRET_KEY = "local"  # noqa: S105 - no secret: it never leaves this machine

#: What an unreserved function may run at a time: an account's default quota.
ACCOUNT_CONCURRENCY = 1000


@dataclass(frozen=True)
class Override:
    """One variable that a function sees differently here, and why."""

    name: str
    value: str
    """May name fields of Services, or `access_key`, in braces."""
    reason: str
    only_with: str | None = None
    """Applies to functions whose template sets this variable; None: to all."""


OVERRIDES = (
    Override("KAFKA_AUTH", "none", "the local brokers have no IAM listener", only_with="KAFKA_AUTH"),
    Override("DATABASE_AUTH", "none", "the local server trusts loopback", only_with="DATABASE_AUTH"),
    Override("DATABASE_ROOTS", "", "the local server's build has no TLS", only_with="DATABASE_ROOTS"),
    Override("DATABASE_USER", "postgres", "the local server's administrator", only_with="DATABASE_SECRET_ARN"),
    Override("CACHE_AUTH", "none", "the local server has neither users nor TLS", only_with="CACHE_AUTH"),
    Override("AWS_ENDPOINT_URL", "{aws}", "AWS APIs are emulated"),
    Override("AWS_ENDPOINT_URL_FIREHOSE", "{firehose}", "the emulation does not buffer or convert; our model does"),
    Override("AWS_ENDPOINT_URL_ATHENA", "{athena}", "the emulation finds nothing; our model reads the files"),
    Override("AWS_ENDPOINT_URL_LAMBDA", "{lambdas}", "functions are invoked through our model"),
    Override(
        "DIRECTORY_URL", "{directory}", "a directory of our own stands in for one outside", only_with="DIRECTORY_URL"
    ),
    Override(
        "NOTIFY_LOOPBACK",
        "{receivers}",
        "servers of our own stand in for Slack and others",
        only_with="NOTIFY_LOOPBACK",
    ),
    Override("AWS_ACCESS_KEY_ID", "{access_key}", "credentials of the execution role; local APIs know it by this"),
    Override("AWS_SECRET_ACCESS_KEY", SECRET_KEY, "likewise; only the HTTP API checks signatures"),
)


def access_key(function: str) -> str:
    """What a function signs with: its own name, so that local APIs know whose role may do what is asked."""
    return function


def function_environment(function: str, synthesized: Mapping[str, str], services: Services) -> dict[str, str]:
    """A function's variables as it sees them here."""
    places = {
        name: getattr(services, name) for name in ("athena", "aws", "directory", "firehose", "lambdas", "receivers")
    }
    changed = {
        override.name: override.value.format(**places, access_key=access_key(function))
        for override in OVERRIDES
        if override.only_with is None or override.only_with in synthesized
    }
    return {**synthesized, **changed}


def workers(concurrency: int) -> int:
    """How many processes serve a function that may run so many invocations at a time."""
    return min(concurrency, WORKERS_PER_FUNCTION)


def pollers(minimum: int) -> int:
    """How many consumers poll for a mapping whose template asks for at least so many."""
    return min(minimum, POLLERS_PER_MAPPING)
