"""Who a function talks to: it logs in only at a server whose certificate our authority signed for its host.

The local build of PostgreSQL has no TLS. A front in this process answers the request for it, as a server does, and
passes on what it decrypts: libpq speaks to it as to RDS.
"""

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from psycopg import sql

from local.models.aws_client import aws_client
from sluice.edge.database import Connection, connect, connect_owner
from sluice.edge.settings import DatabaseSettings, OwnerSettings
from tests.database.server import Databases
from tests.local.emulation import emulated_aws
from tests.support.tls import Identity, identify

HOST = "localhost"
ROOTS = Path(__file__).parents[2] / "layers" / "sluice" / "certificates" / "rds.pem"
SSL_REQUEST = struct.pack("!ii", 8, 80877103)


@contextmanager
def front(port: int, identity: Identity | None) -> Iterator[int]:
    """Serve TLS before a server without it; without an identity, refuse it as such a server does."""
    with socket.create_server((HOST, 0)) as listener:
        threading.Thread(target=_accept, args=(listener, port, identity), daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, port: int, identity: Identity | None) -> None:
    with suppress(OSError):
        while True:
            asking = listener.accept()[0]
            threading.Thread(target=_serve, args=(asking, port, identity), daemon=True).start()


def _serve(asking: socket.socket, port: int, identity: Identity | None) -> None:
    with closing(asking), suppress(OSError):  # a client that trusts nobody here hangs up
        assert asking.recv(len(SSL_REQUEST)) == SSL_REQUEST
        asking.sendall(b"S" if identity else b"N")
        if identity is None:
            return
        with (
            identity.server.wrap_socket(asking, server_side=True) as client,
            socket.create_connection(("127.0.0.1", port)) as server,
        ):
            threading.Thread(target=_pass_on, args=(server, client), daemon=True).start()
            _pass_on(client, server)


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_RDWR)


class Door:
    """How a function and the migrations reach one database, through the front."""

    def __init__(self, dsn: str, port: int) -> None:
        self.port = port
        with psycopg.connect(dsn) as connection:
            self.name = connection.info.dbname

    def function(self, roots: Path, host: str = HOST) -> Connection:
        """Log in as a function does."""
        settings = DatabaseSettings(host, self.port, self.name, "postgres", "none", "us-east-1", str(roots))
        return connect(settings, answer_seconds=5)

    def owner(self, roots: Path, host: str = HOST) -> Connection:
        """Log in as the migrations do."""
        return connect_owner(OwnerSettings(host, self.port, self.name, "", "none", "postgres", str(roots)))


@pytest.fixture
def identity(tmp_path: Path) -> Identity:
    return identify(HOST, tmp_path)


@pytest.fixture
def door(databases: Databases, database: str, identity: Identity) -> Iterator[Door]:
    with front(databases.server.port, identity) as port:
        yield Door(database, port)


def is_encrypted(connection: Connection) -> bool:
    with connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
        return connection.pgconn.ssl_in_use


def test_functions_and_migrations_log_in_at_a_server_that_is_ours(door: Door, identity: Identity) -> None:
    assert is_encrypted(door.function(identity.roots))
    assert is_encrypted(door.owner(identity.roots))


def test_a_certificate_of_another_authority_is_refused(door: Door, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    for roots in (identify(HOST, tmp_path / "other").roots, ROOTS):
        for log_in in (door.function, door.owner):
            with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
                log_in(roots)


def test_a_certificate_for_another_host_is_refused(door: Door, identity: Identity) -> None:
    for log_in in (door.function, door.owner):
        with pytest.raises(psycopg.OperationalError, match="does not match host name"):
            log_in(identity.roots, "127.0.0.1")


def test_a_server_without_tls_is_refused(databases: Databases, database: str, identity: Identity) -> None:
    with front(databases.server.port, None) as port:
        door = Door(database, port)
        for log_in in (door.function, door.owner):
            with pytest.raises(psycopg.OperationalError, match="server does not support SSL"):
                log_in(identity.roots)


def test_a_login_without_authorities_reaches_no_server(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    settings = DatabaseSettings(HOST, door.port, door.name, "postgres", "iam", "us-east-1")
    with pytest.raises(psycopg.OperationalError, match="root certificate file"):
        connect(settings, answer_seconds=5)


def test_a_rotated_password_is_used_by_the_next_login(
    databases: Databases, database: str, door: Door, identity: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RDS changes the administrator's password and the secret together, while migrations may run."""
    with rotated_role(databases, database) as change, emulated_aws() as url:
        for name, value in {"ENDPOINT_URL": url, "ACCESS_KEY_ID": "k", "SECRET_ACCESS_KEY": "s", "REGION": "r"}.items():
            monkeypatch.setenv(f"AWS_{name}", value)
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        keeper = aws_client("secretsmanager", url, "us-east-1")

        def text(password: str) -> str:
            return json.dumps({"username": "rotated", "password": password})

        secret = keeper.create_secret(Name="rds!administrator", SecretString=text("first"))["ARN"]
        settings = OwnerSettings(HOST, door.port, door.name, secret, "secret", database_roots=str(identity.roots))
        assert is_encrypted(connect_owner(settings))
        change("second")
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            connect_owner(settings)
        keeper.put_secret_value(SecretId=secret, SecretString=text("second"))
        assert is_encrypted(connect_owner(settings))


@contextmanager
def rotated_role(databases: Databases, database: str) -> Iterator[Callable[[str], None]]:
    """A role that the server asks for a password, and how that is changed."""
    rules = databases.server.place.data / "pg_hba.conf"
    before = rules.read_text()
    with psycopg.connect(database, autocommit=True) as owner:

        def change(password: str) -> None:
            owner.execute(sql.SQL("ALTER ROLE rotated PASSWORD {}").format(password))

        owner.execute("CREATE ROLE rotated LOGIN PASSWORD 'first'")
        try:
            rules.write_text(f"host all rotated 127.0.0.1/32 scram-sha-256\n{before}")
            owner.execute("SELECT pg_reload_conf()")
            yield change
        finally:
            rules.write_text(before)
            owner.execute("SELECT pg_reload_conf()")
            owner.execute("DROP ROLE rotated")


def test_the_authorities_are_amazons_one_for_each_region_and_valid_for_years() -> None:
    sections = ROOTS.read_text().split("\n# ")
    regions = {}
    for section in sections:
        name, _, certificate = section.partition("\n")
        if certificate.startswith("-----BEGIN"):
            regions[name] = x509.load_pem_x509_certificate(certificate.encode())
    assert len(regions) == ROOTS.read_text().count("BEGIN CERTIFICATE")
    for region, root in regions.items():
        names = {each.oid: each.value for each in root.subject}
        assert names[NameOID.COMMON_NAME] == f"Amazon RDS {region} Root CA RSA2048 G1"
        assert names[NameOID.ORGANIZATION_NAME] == "Amazon Web Services, Inc."
        assert root.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        root.verify_directly_issued_by(root)
        assert root.not_valid_after_utc > datetime(2060, 1, 1, tzinfo=UTC)
