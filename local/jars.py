"""Fetches the jars that a lock file names, each checked against its sum, from where jgo would take them."""

import asyncio
import hashlib
import ssl
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import aiohttp
from jgo.config import GlobalSettings
from jgo.constants import MAVEN_CENTRAL_URL

from local.packages import SYSTEM_CERTIFICATES
from local.processes import StackError

AT_ONCE = 8


def repositories() -> list[str]:
    """Where to look: Maven Central, or what jgo's settings name in its place, and what they name besides."""
    return list({"central": MAVEN_CENTRAL_URL, **GlobalSettings.load().repositories}.values())


async def fetch(lock: Path, directory: Path, sources: Sequence[str]) -> None:
    """Put every jar of the lock file into the directory."""
    # A company's own authority is known to the system, not to the list that some Pythons bring.
    trusted = ssl.create_default_context(cafile=SYSTEM_CERTIFICATES if SYSTEM_CERTIFICATES.exists() else None)
    connector = aiohttp.TCPConnector(limit=AT_ONCE, ssl=trusted)
    async with aiohttp.ClientSession(connector=connector, trust_env=True) as session:
        await asyncio.gather(
            *(_fetch(session, path, expected, directory, sources) for expected, path in _read(lock.read_text()))
        )


def _read(lock: str) -> Iterator[tuple[str, str]]:
    for line in lock.splitlines():
        if not line.startswith("#"):
            expected, path = line.split()
            yield expected, path


async def _fetch(
    session: aiohttp.ClientSession, path: str, expected: str, directory: Path, sources: Iterable[str]
) -> None:
    problems = []
    for source in sources:
        try:
            async with session.get(f"{source}/{path}") as answer:
                answer.raise_for_status()
                content = await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            problems.append(f"{source}: {error}")
            continue
        if hashlib.sha256(content).hexdigest() == expected:
            (directory / Path(path).name).write_bytes(content)
            return
        problems.append(f"{source}: not the file that the lock file names")
    raise StackError(f"{path} cannot be fetched:\n" + "\n".join(problems))
