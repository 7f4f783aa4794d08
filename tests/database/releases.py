"""The previous release, taken from git: its code and its tests, on the migrations of this one."""

import io
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from tests.database.server import MIGRATIONS

ROOT = Path(__file__).parents[2]
NAMED = Path(__file__).with_name("previous_release.txt")
"""Names the revision that deployments run before this one: the one place."""
# What its database tests need. Its pages and its dashboard are not tested again.
PARTS = ("bench", "cli", "events", "functions", "infra", "layers", "local", "pyproject.toml", "schemas", "tests")


class MissingReleaseError(Exception):
    """This clone cannot show the previous release."""


def extract(revision: str, target: Path, *parts: str) -> None:
    """Put parts of a release into a folder."""
    archived = _git("archive", "--format=tar", revision, "--", *parts)
    if archived.returncode != 0:
        raise MissingReleaseError(
            f"{NAMED.relative_to(ROOT)} names the previous release, {revision}, and this clone lacks it:"
            f" fetch the whole history (git fetch --unshallow). git says: {archived.stderr.decode().strip()}"
        )
    with tarfile.open(fileobj=io.BytesIO(archived.stdout)) as archive:
        archive.extractall(target, filter="data")


def take_out(revision: str, target: Path, *further: Path) -> Path:
    """Put a release into a folder, with this release's migrations and further ones in the place of its own."""
    extract(revision, target, *PARTS)
    migrations = target / MIGRATIONS.relative_to(ROOT)
    shutil.rmtree(migrations)
    migrations.mkdir()
    for path in (*MIGRATIONS.glob("*.sql"), *further):
        shutil.copy(path, migrations)
    # The services are the same ones.
    (target / ".local").mkdir()
    (target / ".local" / "setup").symlink_to(ROOT / ".local" / "setup")
    return target


def run_tests(release: Path, *tests: str) -> subprocess.CompletedProcess[str]:
    """Run some of a release's own tests, with its code."""
    code = os.pathsep.join([str(release), str(release / "layers" / "sluice" / "python")])
    command = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider", *tests]
    return subprocess.run(
        command, cwd=release, env={**os.environ, "PYTHONPATH": code}, capture_output=True, text=True, check=False
    )


def _git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, check=False)
