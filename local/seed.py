"""The first fleet of a fresh stack, and a key for each role."""

import secrets
from typing import Any

import psycopg

from local.admin import Admin
from sluice.core.api.keys import ALPHABET, ID_LENGTH, SECRET_LENGTH, compose_key, hash_key

FLEET = "demo"
EVENTS_PER_SECOND = 100_000  # more than a laptop can send
ROLES = ("device", "reader")


def seed(admin: Admin) -> dict[str, str]:
    """Create a fleet with a device key and a reader key, and return their texts."""
    admin.create_fleet(FLEET, events_per_second=EVENTS_PER_SECOND)
    return {role: admin.create_key(FLEET, role) for role in ROLES}


def insert_key(connection: psycopg.Connection[tuple[Any, ...]], stage: str, fleet_id: str, role: str) -> str:
    """Insert a key for a fleet into a database that no admin serves."""
    key_id = _random_text(ID_LENGTH)
    key = compose_key(stage, key_id, _random_text(SECRET_LENGTH))
    connection.execute(
        "INSERT INTO api_key (key_id, fleet_id, role, secret_hash) VALUES (%s, %s, %s, %s)",
        (key_id, fleet_id, role, hash_key(key)),
    )
    return key


def _random_text(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))
