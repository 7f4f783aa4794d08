"""The first fleet of a fresh stack, and a key for each role."""

import secrets

import psycopg

from sluice.core.keys import ALPHABET, ID_LENGTH, SECRET_LENGTH, compose_key, hash_key

FLEET = "demo"


def seed(database: str, stage: str) -> dict[str, str]:
    """Create a fleet with a device key and a reader key; the answer is the only place the keys are ever seen."""
    keys = {}
    with psycopg.connect(database) as connection:
        connection.execute("INSERT INTO fleet (fleet_id) VALUES (%s) ON CONFLICT DO NOTHING", (FLEET,))
        for role in ("device", "reader"):
            key_id = _random_text(ID_LENGTH)
            keys[role] = compose_key(stage, key_id, _random_text(SECRET_LENGTH))
            connection.execute(
                "INSERT INTO api_key (key_id, fleet_id, role, secret_hash) VALUES (%s, %s, %s, %s)",
                (key_id, FLEET, role, hash_key(keys[role])),
            )
    return keys


def _random_text(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))
