"""A server with a time zone of its own, as initdb sets it on a laptop: windows are in UTC nevertheless."""

from datetime import UTC, datetime, timedelta
from urllib.parse import urlparse

import psycopg
from psycopg import sql

from sluice.core.rollups.resolutions import RESOLUTIONS
from sluice.edge.database import Database
from sluice.edge.rollups import rolling
from sluice.edge.rollups.rolling import Rolling
from sluice.edge.settings import DatabaseSettings
from tests.database.rolled import Sample, Samples, differences, drain

# In Berlin this day has 23 hours, and the day half a year later 25.
SHORT_DAY, LONG_DAY = datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)


def test_days_on_which_clocks_are_changed_have_all_their_hours(database: str) -> None:
    place = urlparse(database)
    assert place.hostname
    with psycopg.connect(database, autocommit=True) as owner:
        owner.execute(
            sql.SQL("ALTER DATABASE {} SET timezone = 'Europe/Berlin'").format(sql.Identifier(place.path[1:]))
        )
    samples = Samples(database)
    login = DatabaseSettings(place.hostname, place.port or 0, place.path[1:], "sluice_roll", "none", "us-east-1")
    store = Database(lambda: rolling.connect(login, 60), 60)
    roller = Rolling(store, timedelta(0), dict.fromkeys(RESOLUTIONS, timedelta(0)))
    for day in (SHORT_DAY, LONG_DAY):
        samples.prepare_for(day - timedelta(days=1), day + timedelta(days=2))
        samples.write(
            *(
                Sample("one", "press-1", day + timedelta(minutes=30 * number), {"fine": number})
                for number in range(-4, 60)
            )
        )
        drain(roller, day + timedelta(days=2))
    assert differences(samples, LONG_DAY + timedelta(days=2)) == []
    store.close()
    samples.close()
