"""What a machine needs for the local stack, and whether this one has it."""

import shutil
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from local.findings import Finding
from local.install import kafka_installation, redis_installation
from local.jars import repositories
from local.packages import SYSTEM_CERTIFICATES
from local.page import page_is_complete
from local.processes import StackError
from local.services import kafka

PYTHONS = ((3, 11), (3, 13))
TOOLS = {"setpriv": "util-linux", "make": "make"}
UNPACKERS = {"apt-get": "apt", "dpkg": "dpkg"}
SET_UP = "run `make setup`"
GB = 10**9
SET_UP_BYTES, DATA_BYTES = 2 * GB, GB
"""What the set-up takes, and what a stack may write in an afternoon."""
MEMORY_BYTES = 3 * GB
ANSWER_SECONDS = 5


def examine(checkout: Path) -> list[Finding]:
    """Look for everything, in the order in which it is needed."""
    parts = [_find_kafka(checkout), _find_redis(checkout), _find_page(checkout)]
    complete = not any(part.missing for part in parts)
    return [
        _judge_python(sys.version_info[:3]),
        *(_find_tool(*tool) for tool in TOOLS.items()),
        _judge_memory(_available_memory()),
        _judge_disk(shutil.disk_usage(checkout).free, complete),
        *parts,
        *(() if complete else _look_outside()),
    ]


def _judge_python(version: tuple[int, int, int]) -> Finding:
    oldest, newest = (".".join(map(str, one)) for one in PYTHONS)
    found = ".".join(map(str, version))
    if PYTHONS[0] <= version[:2] <= PYTHONS[1]:
        return Finding("Python", found)
    return Finding("Python", f"{found} is not {oldest} to {newest}: install one of them and run `make setup`", True)


def _find_tool(tool: str, package: str) -> Finding:
    found = shutil.which(tool)
    return Finding(tool, found) if found else Finding(tool, f"install the package {package}", True)


def _judge_memory(available: int) -> Finding:
    says = f"{available / GB:.1f} GB available"
    if available >= MEMORY_BYTES:
        return Finding("memory", says)
    return Finding("memory", f"{says}, and a stack needs {MEMORY_BYTES / GB:.0f} GB: end other programs", True)


def _available_memory() -> int:
    (line,) = (line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable:"))
    return int(line.split()[1]) * 1024


def _judge_disk(free: int, complete: bool) -> Finding:
    needed = DATA_BYTES + (0 if complete else SET_UP_BYTES)
    says = f"{free / GB:.1f} GB free"
    if free >= needed:
        return Finding("disk", says)
    return Finding("disk", f"{says} beside the checkout, and {needed / GB:.0f} GB are needed: make room", True)


def _find_kafka(checkout: Path) -> Finding:
    installation = kafka_installation(checkout / ".local" / "setup")
    held = installation.jars / kafka.LOCK.name
    if not held.exists() or held.read_bytes() != kafka.LOCK.read_bytes():
        return Finding("Kafka", SET_UP, True)
    if not installation.startup_cache.exists():
        return Finding("Kafka", f"its fast start is not prepared: {SET_UP}", True)
    return Finding("Kafka", str(installation.jars))


def _find_redis(checkout: Path) -> Finding:
    try:
        return Finding("Redis", str(redis_installation(checkout / ".local" / "setup").executable))
    except StackError:
        return Finding("Redis", SET_UP, True)


def _find_page(checkout: Path) -> Finding:
    web = checkout / "web"
    return Finding("page", str(web / "node_modules")) if page_is_complete(web) else Finding("page", SET_UP, True)


def _look_outside() -> Iterator[Finding]:
    """Look for what only the set-up needs."""
    yield from (_find_tool(*tool) for tool in UNPACKERS.items())
    for address in (*repositories(), "https://registry.npmjs.org"):
        yield _reach(address)


def _reach(address: str) -> Finding:
    trusted = ssl.create_default_context(cafile=SYSTEM_CERTIFICATES if SYSTEM_CERTIFICATES.exists() else None)
    request = urllib.request.Request(address, method="HEAD")  # noqa: S310 - configured by the user
    try:
        urllib.request.urlopen(request, timeout=ANSWER_SECONDS, context=trusted).close()  # noqa: S310 - the same
    except urllib.error.HTTPError:
        # It answers, and that is all that was asked.
        return Finding(address, "answers")
    except OSError as error:
        said = getattr(error, "reason", error)
        return Finding(address, f"does not answer ({said}): set up a proxy or a mirror for it", True)
    return Finding(address, "answers")
