"""The model of what MSK tells CloudWatch, read as pressure reads it."""

import contextlib
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from local.models.aws_client import aws_client
from local.models.config import BrokerMetricsConfig
from local.resources import resolve
from local.resources.configure import broker_metrics as configure
from local.template import Assembly
from sluice.core.errors import Retryable
from sluice.edge.ingest.disks import Disks
from tests.infra.templates import synthesize
from tests.local.emulation import emulated_aws
from tests.local.model_process import running
from tests.local.test_resources import services

CLUSTER = "sluice-local-events"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Disks]]:
    directory = tmp_path_factory.mktemp("brokers")
    # Of disks of a mebibyte: a quarter, a half of it below a directory, and a broker that has not begun.
    (directory / "1").mkdir()
    (directory / "1" / "log").write_bytes(bytes(256 * 1024))
    (directory / "2" / "topic-0").mkdir(parents=True)
    (directory / "2" / "topic-0" / "log").write_bytes(bytes(512 * 1024))
    directories = [str(directory / number) for number in ("1", "2", "3")]
    with emulated_aws() as url:
        config = BrokerMetricsConfig("us-east-1", url, CLUSTER, 1 / 1024, directories, every_seconds=0.2)
        with running("broker_metrics", config, directory / "model") as model:
            yield model.url, Disks(aws_client("cloudwatch", url, "us-east-1"), CLUSTER, 3)


def tell(url: str, body: object) -> int:
    request = urllib.request.Request(f"{url}/_model/disk", json.dumps(body).encode())
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def ask(disks: Disks, expected: float) -> float:
    """What is found in the end; the emulation counts in whole seconds."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        with contextlib.suppress(Retryable):
            if disks.ask(datetime.now(UTC)) == expected:
                break
        time.sleep(0.2)
    return disks.ask(datetime.now(UTC))


def test_the_fullest_disk_is_found_where_the_function_looks(place: tuple[str, Disks]) -> None:
    assert ask(place[1], 50) == 50


def test_it_reports_what_is_set_and_refuses_what_is_no_percentage(place: tuple[str, Disks]) -> None:
    url, disks = place
    assert tell(url, {"percent": 95}) == 200
    assert ask(disks, 95) == 95
    wrong: list[object] = [{"percent": 101}, {"percent": "full"}, {"present": 1}, []]
    assert [tell(url, body) for body in wrong] == [400] * 4
    assert tell(url, {}) == 200


def test_the_stack_names_where_the_brokers_keep_their_data(tmp_path: Path) -> None:
    synthesize("test", tmp_path / "cdk")
    config = configure(resolve(Assembly.load(tmp_path / "cdk"), services(tmp_path)))
    assert (config.disk_gib, config.cluster) == (100, "sluice-proof-events")
    assert config.directories == [str(tmp_path / f"kafka/{number}/data") for number in (1, 2, 3)]
