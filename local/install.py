"""Sets up what no Python package brings: the broker, a Redis server, the page's libraries, and a browser for its tests.

Nothing of it needs root or touches the machine: everything goes to one directory of this clone.
"""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from local import jars
from local.page import WEB, install_page
from local.ports import Ports
from local.processes import ROOT, StackError, spawn, stop
from local.services import kafka, redis
from local.tools import run_tool

SETUP = ROOT / ".local" / "setup"
REDIS_PACKAGE = "redis-server"
REDIS_MAJOR = 7
"""The first release with what we start it with."""
BROWSER_PACKAGE = "chromium-headless-shell"
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


@dataclass(frozen=True)
class Browser:
    """A Chromium, and where the libraries are that it brought along."""

    executable: Path
    libraries: str = ""

    @property
    def environment(self) -> dict[str, str]:
        """Return what to start it with."""
        return {**os.environ, "LD_LIBRARY_PATH": self.libraries} if self.libraries else dict(os.environ)


def kafka_installation(setup: Path = SETUP) -> kafka.Installation:
    """Where the broker's code was put."""
    return kafka.Installation(setup / "kafka")


def redis_installation(setup: Path = SETUP) -> redis.Installation:
    """The Redis server that was set up here, or else the machine's own if it is recent enough."""
    unpacked = setup / "redis" / "usr" / "bin" / "redis-server"
    if unpacked.exists():
        return redis.Installation(unpacked, _libraries(setup / "redis"))
    installed = shutil.which("redis-server")
    if installed is not None and redis_release(redis.Installation(Path(installed))) >= REDIS_MAJOR:
        return redis.Installation(Path(installed))
    raise StackError("no Redis server is set up; run `make setup`")


def browser_installation(setup: Path = SETUP) -> Browser:
    """The Chromium that was set up here, or else the machine's own."""
    unpacked = setup / "browser" / "usr" / "lib" / "chromium" / BROWSER_PACKAGE
    if unpacked.exists():
        return Browser(unpacked, _libraries(setup / "browser"))
    installed = next(filter(None, map(shutil.which, BROWSERS)), None)
    if installed is not None and _starts(Browser(Path(installed))):
        return Browser(Path(installed))
    raise StackError("no Chromium is set up; run `make test`")


def _starts(browser: Browser) -> bool:
    """Whether it is a browser: on some systems the name belongs to a script that only says where to get one."""
    try:
        said = subprocess.run(
            [browser.executable, "--version"], env=browser.environment, capture_output=True, check=False, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return said.returncode == 0 and b"Chrom" in said.stdout


def _libraries(directory: Path) -> str:
    """Where the libraries of unpacked packages are, in the form that the loader reads."""
    return os.pathsep.join(sorted({str(library.parent) for library in directory.rglob("*.so*")}))


def redis_release(installation: redis.Installation) -> int:
    """The server's major release; 0 when it does not run."""
    environment = {**os.environ, "LD_LIBRARY_PATH": installation.libraries}
    try:
        shown = subprocess.run([installation.executable, "--version"], env=environment, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return 0
    found = re.search(rb"v=(\d+)", shown.stdout)
    return int(found[1]) if found else 0


def install(setup: Path = SETUP) -> None:
    """Set up what is missing, side by side: each part waits for the network or uses one core."""
    setup.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor() as pool:
        others = [pool.submit(_install_redis, setup), pool.submit(install_page, WEB)]
        _install_kafka(setup)
        for other in others:
            other.result()


def _install_redis(setup: Path) -> None:
    try:
        redis_installation(setup)
    except StackError:
        complete(setup / "redis", partial(_unpack, REDIS_PACKAGE))
        if redis_release(redis_installation(setup)) < REDIS_MAJOR:
            raise StackError(
                f"this system's packages have no Redis {REDIS_MAJOR} that runs; put a redis-server on the PATH"
            ) from None


def _install_kafka(setup: Path) -> None:
    installation = kafka_installation(setup)
    held = installation.jars / kafka.LOCK.name
    if not held.exists() or held.read_bytes() != kafka.LOCK.read_bytes():
        complete(installation.jars, _fetch_kafka)
    if not installation.startup_cache.exists():
        asyncio.run(_train(installation))


def install_browser(setup: Path = SETUP) -> None:
    """Set up a browser, which only the page's tests need."""
    try:
        browser_installation(setup)
    except StackError:
        complete(setup / "browser", partial(_unpack, BROWSER_PACKAGE))
        if not _starts(browser_installation(setup)):
            raise StackError("this system's packages have no Chromium that runs; put one on the PATH") from None


def complete(directory: Path, fill: Callable[[Path], None]) -> None:
    """Fill a directory, which appears only once it is complete: an interrupted set-up starts again."""
    unfinished = directory.with_name(f"{directory.name}.unfinished")
    for leftover in (unfinished, directory):
        shutil.rmtree(leftover, ignore_errors=True)
    unfinished.mkdir()
    fill(unfinished)
    unfinished.rename(directory)


def _unpack(package: str, directory: Path) -> None:
    """Unpack a system's package and what it needs that is missing here, without installing: no service is started."""
    # One write: the parts are set up side by side.
    print(f"setting up {package} ...\n", end="", flush=True)
    with tempfile.TemporaryDirectory(prefix="sluice-apt-") as scratch:
        downloads = Path(scratch)
        # Lists of our own: up to date, and writable by anybody.
        own = ["-o", f"Dir::State::lists={scratch}/lists", "-o", f"Dir::Cache={scratch}/cache"]
        apt = ["apt-get", "-q", *own, "-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=root"]
        for needed in ("lists/partial", "cache/archives/partial"):
            (downloads / needed).mkdir(parents=True)
        run_tool([*apt, "update"], downloads)
        planned = run_tool([*apt, "--simulate", "--no-install-recommends", "install", package], downloads)
        missing = re.findall(r"^Inst (\S+)", planned, re.MULTILINE)
        run_tool([*apt, "download", *missing], downloads)
        for archive in downloads.glob("*.deb"):
            run_tool(["dpkg", "-x", str(archive), str(directory)], downloads)


def _fetch_kafka(directory: Path) -> None:
    print("setting up Kafka ...\n", end="", flush=True)
    asyncio.run(jars.fetch(kafka.LOCK, directory, jars.repositories()))
    shutil.copy(kafka.LOCK, directory)


async def _train(installation: kafka.Installation) -> None:
    """Start a broker once, so that the Java runtime learns what a start needs; it writes that down when it ends."""
    print("preparing fast starts of Kafka ...", flush=True)
    with tempfile.TemporaryDirectory(prefix="sluice-kafka-") as scratch, Ports() as ports:
        logs = Path(scratch)
        cluster = kafka.Cluster(installation, logs / "kafka", kafka.new_nodes(1, ports))
        await cluster.format(logs)
        (broker,) = cluster.programs(training=True)
        process = await spawn(broker, logs / "kafka.log")
        try:
            async with asyncio.timeout(60):
                while process.returncode is None and not await broker.ready(process.pid):
                    await asyncio.sleep(0.1)
        finally:
            await stop(process, signal.SIGTERM, seconds=60)
        if not installation.startup_cache.exists():
            raise StackError(f"the broker does not run here:\n{(logs / 'kafka.log').read_text()}")


if __name__ == "__main__":
    try:
        install_browser() if sys.argv[1:] == ["browser"] else install()
    except StackError as error:
        raise SystemExit(f"setting up failed: {error}") from None
