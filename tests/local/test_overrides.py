"""The one list of settings that differ locally."""

from pathlib import Path

from local import overrides
from local.overrides import OVERRIDES, function_environment
from local.resources import Services

SERVICES = Services(
    kafka="127.0.0.1:1",
    database_host="127.0.0.1",
    database_port=2,
    cache_host="127.0.0.1",
    cache_port=3,
    aws="http://127.0.0.1:4",
    lambdas="http://127.0.0.1:5",
    http_api="http://127.0.0.1:6",
    firehose="http://127.0.0.1:7",
    athena="http://127.0.0.1:9",
    directory="http://127.0.0.1:8",
    receivers="127.0.0.1:7",
    state=Path("state"),
)
EVERYWHERE = {
    "AWS_ENDPOINT_URL": "http://127.0.0.1:4",
    "AWS_ENDPOINT_URL_FIREHOSE": "http://127.0.0.1:7",
    "AWS_ENDPOINT_URL_ATHENA": "http://127.0.0.1:9",
    "AWS_ENDPOINT_URL_LAMBDA": "http://127.0.0.1:5",
    "AWS_ACCESS_KEY_ID": "f",
    "AWS_SECRET_ACCESS_KEY": "local",
}


def test_what_the_template_sets_is_seen_as_it_is_set() -> None:
    own = {"SLUICE_STAGE": "dev", "DATABASE_HOST": "somewhere", "RAW_EVENTS_TOPIC": "raw-events"}

    assert function_environment("f", own, SERVICES) == {**own, **EVERYWHERE}


def test_transports_without_identity_are_taken_only_by_functions_that_have_one() -> None:
    own = {"KAFKA_AUTH": "iam", "DATABASE_AUTH": "iam", "DATABASE_USER": "sluice_ingest", "CACHE_AUTH": "iam"}

    assert function_environment("f", own, SERVICES) == {
        "KAFKA_AUTH": "none",
        "DATABASE_AUTH": "none",
        "DATABASE_USER": "sluice_ingest",
        "CACHE_AUTH": "none",
        **EVERYWHERE,
    }


def test_who_connects_by_the_administrators_secret_is_the_local_administrator() -> None:
    own = {"DATABASE_AUTH": "secret", "DATABASE_SECRET_ARN": "arn", "DATABASE_ROOTS": "/opt/certificates/rds.pem"}

    assert function_environment("f", own, SERVICES) == {
        "DATABASE_AUTH": "none",
        "DATABASE_USER": "postgres",
        "DATABASE_SECRET_ARN": "arn",
        "DATABASE_ROOTS": "",
        **EVERYWHERE,
    }


def test_the_directory_is_the_one_that_runs_here() -> None:
    seen = function_environment("f", {"DIRECTORY_URL": "https://directory.example"}, SERVICES)

    assert seen == {"DIRECTORY_URL": "http://127.0.0.1:8", **EVERYWHERE}


def test_every_override_has_a_reason() -> None:
    assert all(override.reason for override in OVERRIDES)


def test_no_limit_is_raised() -> None:
    assert overrides.workers(1) == overrides.pollers(1) == 1
    assert overrides.workers(1000) == overrides.WORKERS_PER_FUNCTION
    assert overrides.pollers(200) == overrides.POLLERS_PER_MAPPING
