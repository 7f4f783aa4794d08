"""The layers that we build leave the published one the room that the doctor counts on."""

import re
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

from infra.building_blocks.layers import IN_THE_RUNTIME, OURS_MB, PYTHON_VERSION
from tests.infra.templates import ROOT

MB = 10**6


def installed_for(requirements: Path) -> dict[str, Distribution]:
    """What pip would put into a layer. It is measured as it is installed here, for this machine's processor."""
    found: dict[str, Distribution] = {}
    waiting = [Requirement(line) for line in requirements.read_text().split()]
    while waiting:
        wanted = waiting.pop()
        name = re.sub(r"[-_.]+", "-", wanted.name).lower()
        if name in IN_THE_RUNTIME:
            continue
        package = found.setdefault(name, distribution(name))
        for needed in map(Requirement, package.requires or ()):
            target = {"python_version": PYTHON_VERSION, "python_full_version": f"{PYTHON_VERSION}.0"}
            extras = wanted.extras or {""}
            if not needed.marker or any(needed.marker.evaluate({**target, "extra": extra}) for extra in extras):
                waiting.append(needed)
    return found


def take(files: list[Path]) -> int:
    """What files take; compiled modules are no part of a layer."""
    return sum(file.stat().st_size for file in files if file.suffix != ".pyc" and file.is_file())


def test_ours_take_no_more_than_the_doctor_counts_on() -> None:
    packages = {
        name: package
        for layer in ("stream", "database")
        for name, package in installed_for(ROOT / "layers" / layer / "requirements.txt").items()
    }
    assert {"confluent-kafka", "psycopg-binary", "redis", "msgspec"} <= set(packages)
    libraries = [Path(str(file.locate())) for package in packages.values() for file in package.files or ()]
    ours = [*(ROOT / "layers" / "sluice").rglob("*"), *(ROOT / "schemas").rglob("*")]
    assert 20 * MB < take(libraries) + take(ours) < OURS_MB * MB
