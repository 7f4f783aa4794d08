"""What the set-up finds on a machine: Pythons that only look like one, Redis servers too old, half-done work."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from local.install import browser_installation, complete, page_is_complete, redis_installation
from local.processes import ROOT, StackError


def executable(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_an_environment_is_made_with_a_python_that_really_runs(tmp_path: Path) -> None:
    clone, programs = tmp_path / "clone", tmp_path / "programs"
    (clone / "local").mkdir(parents=True)
    shutil.copy(ROOT / "local" / "venv.sh", clone / "local")
    for name in ("requirements-dev.txt", "constraints.txt"):
        (clone / name).touch()
    executable(programs / "python3.13", "echo 'python3.13: command not found' >&2; exit 127")
    executable(programs / "python3.12", "echo 'Python 3.10.0'; exit 1")
    real = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
    (programs / "python3.11").symlink_to(real)

    environment = {"PATH": f"{programs}:/usr/bin:/bin", "HOME": str(tmp_path)}

    def run() -> str:
        made = subprocess.run(
            ["sh", "local/venv.sh"], cwd=clone, env=environment, capture_output=True, text=True, check=False
        )
        assert made.returncode == 0, made.stderr
        return made.stdout

    assert f"setting up .venv with {programs / 'python3.11'}" in run()
    assert run() == "", "a complete environment is left alone"


def test_a_redis_server_of_the_machine_is_used_if_it_is_recent_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin")
    executable(tmp_path / "redis-server", "echo 'Redis server v=6.0.16 sha=0 malloc=jemalloc bits=64'")
    with pytest.raises(StackError, match="no Redis server is set up"):
        redis_installation(tmp_path / "setup")
    recent = executable(tmp_path / "redis-server", "echo 'Redis server v=7.0.15 sha=0 malloc=jemalloc bits=64'")
    assert redis_installation(tmp_path / "setup").executable == recent


def test_an_unpacked_redis_server_comes_first_and_brings_its_libraries(tmp_path: Path) -> None:
    unpacked = executable(tmp_path / "redis" / "usr" / "bin" / "redis-server", "echo 'Redis server v=7.0.15'")
    library = tmp_path / "redis" / "usr" / "lib" / "liblzf.so.1"
    library.parent.mkdir()
    library.touch()
    found = redis_installation(tmp_path)
    assert (found.executable, found.libraries) == (unpacked, str(library.parent))


def test_what_was_interrupted_is_set_up_again(tmp_path: Path) -> None:
    target = tmp_path / "kafka"

    def breaks(directory: Path) -> None:
        (directory / "half").touch()
        raise StackError("the network is away")

    with pytest.raises(StackError):
        complete(target, breaks)
    assert not target.exists()
    complete(target, lambda directory: (directory / "whole").touch())
    assert [each.name for each in target.iterdir()] == ["whole"]


def test_the_pages_libraries_are_complete_when_they_are_those_of_the_lock_file(tmp_path: Path) -> None:
    library = {"version": "1.6.32", "integrity": "sha512-abc"}
    locked = {"packages": {"": {"name": "page"}, "node_modules/uplot": library}}
    (tmp_path / "package-lock.json").write_text(json.dumps(locked))
    assert not page_is_complete(tmp_path)
    (tmp_path / "node_modules").mkdir()
    installed = tmp_path / "node_modules" / ".package-lock.json"
    installed.write_text(json.dumps({"packages": {"node_modules/uplot": library}}))
    assert page_is_complete(tmp_path)
    installed.write_text(json.dumps({"packages": {"node_modules/uplot": library | {"version": "1.6.31"}}}))
    assert not page_is_complete(tmp_path)


def test_of_the_programs_of_the_page_those_for_this_machine_are_enough(tmp_path: Path) -> None:
    checker = {"version": "2.6.8", "optionalDependencies": {"checker-x64": "2.6.8", "checker-arm64": "2.6.8"}}
    program = {"version": "2.6.8", "optional": True}
    packages = {"node_modules/checker": checker, "node_modules/checker-x64": program}
    locked = {"packages": packages | {"node_modules/checker-arm64": program}}
    (tmp_path / "package-lock.json").write_text(json.dumps(locked))
    (tmp_path / "node_modules").mkdir()
    installed = tmp_path / "node_modules" / ".package-lock.json"
    installed.write_text(json.dumps({"packages": packages}))
    assert page_is_complete(tmp_path)
    installed.write_text(json.dumps({"packages": {"node_modules/checker": checker}}))
    assert not page_is_complete(tmp_path), "npm leaves out what it failed to fetch"
    installed.write_text(json.dumps({"packages": packages | {"node_modules/checker-x64": {"version": "2.6.7"}}}))
    assert not page_is_complete(tmp_path)


def test_a_browser_of_the_machine_is_used_if_it_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin")
    monkeypatch.setattr("local.install.BROWSERS", ("chromium",))
    executable(tmp_path / "chromium", "echo 'install me with the shop'; exit 1")
    with pytest.raises(StackError, match="no Chromium is set up"):
        browser_installation(tmp_path / "setup")
    real = executable(tmp_path / "chromium", "echo 'Chromium 156.0'")
    assert browser_installation(tmp_path / "setup").executable == real


def test_an_unpacked_browser_comes_first_and_brings_its_libraries(tmp_path: Path) -> None:
    unpacked = executable(tmp_path / "browser/usr/lib/chromium/chromium-headless-shell", "echo 'Chromium 156.0'")
    library = tmp_path / "browser" / "usr" / "lib" / "libopus.so.0"
    library.touch()
    found = browser_installation(tmp_path)
    assert (found.executable, found.libraries) == (unpacked, str(library.parent))
    assert found.environment["LD_LIBRARY_PATH"] == found.libraries
