"""What the set-up finds on a machine: broken Pythons, old Redis servers, an interrupted installation."""

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from local import jars
from local.install import browser_installation, complete, redis_installation
from local.packages import SYSTEM_CERTIFICATES, environment, read_settings
from local.page import page_is_complete
from local.processes import ROOT, StackError


def executable(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_an_environment_is_made_with_a_python_that_really_runs(tmp_path: Path) -> None:
    clone, programs = tmp_path / "clone", tmp_path / "programs"
    (clone / "local").mkdir(parents=True)
    for name in ("local/venv.sh", "local/__init__.py", "local/packages.py", "constraints.txt"):
        shutil.copy(ROOT / name, clone / name)
    (clone / "requirements.txt").write_text("iniconfig\n")
    executable(programs / "python3.13", "echo 'python3.13: command not found' >&2; exit 127")
    executable(programs / "python3.12", "echo 'Python 3.10.0'; exit 1")
    real = Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}"
    (programs / "python3.11").symlink_to(real)

    paths = {"PATH": f"{programs}:/usr/bin:/bin", "HOME": str(tmp_path)}

    def run() -> str:
        made = subprocess.run(
            ["sh", "local/venv.sh", "requirements.txt"],
            cwd=clone,
            env={**os.environ, **paths},
            capture_output=True,
            text=True,
            check=False,
        )
        assert made.returncode == 0, made.stderr
        return made.stdout

    assert f"setting up .venv with {programs / 'python3.11'}" in run()
    assert list(clone.glob(".venv/lib/*/site-packages/iniconfig")), "what is required is installed"
    assert run() == "", "a complete environment is left alone"


def test_uv_is_given_the_mirror_that_pip_is_configured_with() -> None:
    listed = r"""
:env:.find-links='/wheels /more'
global.cert='/company.pem'
global.extra-index-url='\nhttps://one.example/simple\nhttps://two.example/simple'
global.index-url='https://mirror.example/simple'
install.index-url='https://install.example/simple'
download.proxy='http://download.example'
"""
    assert environment({"UV_INDEX": "https://own.example"}, read_settings(listed)) == {
        "SSL_CERT_FILE": "/company.pem",
        "UV_DEFAULT_INDEX": "https://install.example/simple",
        "UV_FIND_LINKS": "/wheels,/more",
        "UV_INDEX": "https://own.example",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
    }
    several = environment({}, read_settings(listed))["UV_INDEX"]
    assert several == "https://one.example/simple https://two.example/simple"


def test_uv_trusts_what_the_system_trusts_unless_it_is_configured_otherwise() -> None:
    system = {"SSL_CERT_FILE": str(SYSTEM_CERTIFICATES)} if SYSTEM_CERTIFICATES.exists() else {}
    assert environment({}, {}) == system
    assert environment({"SSL_CERT_FILE": "/own.pem"}, {"cert": "/company.pem"}) == {"SSL_CERT_FILE": "/own.pem"}


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[str]:
    """A Maven repository that holds one jar."""
    (tmp_path / "mirror" / "org").mkdir(parents=True)
    (tmp_path / "mirror" / "org" / "broker-1.jar").write_bytes(b"a broker")
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "mirror"))
    )
    Thread(target=server.serve_forever).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_jar_comes_from_the_first_repository_that_has_it(mirror: str, tmp_path: Path) -> None:
    lock = tmp_path / "broker.lock"
    lock.write_text(f"# a comment\n{hashlib.sha256(b'a broker').hexdigest()}  org/broker-1.jar\n")
    asyncio.run(jars.fetch(lock, tmp_path, [f"{mirror}/elsewhere", mirror]))
    assert (tmp_path / "broker-1.jar").read_bytes() == b"a broker"


def test_a_jar_that_is_not_the_locked_one_is_refused(mirror: str, tmp_path: Path) -> None:
    lock = tmp_path / "broker.lock"
    lock.write_text(f"{hashlib.sha256(b'another').hexdigest()}  org/broker-1.jar\n")
    with pytest.raises(StackError, match="not the file that the lock file names"):
        asyncio.run(jars.fetch(lock, tmp_path, [mirror]))
    assert not (tmp_path / "broker-1.jar").exists()


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
