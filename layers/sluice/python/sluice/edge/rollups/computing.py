"""The statements that compute windows, and store their rows in place of the earlier ones.

roll computes the live windows. A replay computes windows whose samples have expired, from tables of its own.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from psycopg import sql

from sluice.core.rollups.resolutions import WIDTHS, Resolution
from sluice.edge.database import Connection, find_value

NARROWER: dict[Resolution, Resolution] = {"1h": "1m", "1d": "1h"}

_NUMBERS = {
    "samples_of_shards": "few",
    "samples_of_devices": "few",
    "samples_of_fleets": "many",
    "samples_of_small_fleets": "many",
    "rollups_of_shards": "merged",
    "rollups_of_entities": "merged",
}
"""How windows are computed from each source."""

SETTINGS = (
    "SET LOCAL jit = off",
    # It would remember what was unpacked of each row's arrays, which no other row has.
    "SET LOCAL enable_memoize = off",
    "SET LOCAL work_mem = '64MB'",
)
"""Settings of a transaction that computes windows."""


class Tables(msgspec.Struct, frozen=True):
    """What windows are computed from, where their rows go, and where changes are noted."""

    samples: str = "sample"
    rollups_1m: str = "rollup_1m"
    rollups_1h: str = "rollup_1h"
    rollups_1d: str = "rollup_1d"
    changes: str = "change"

    def target(self, resolution: Resolution) -> sql.Identifier:
        """Return where the rows of a resolution are."""
        return sql.Identifier(getattr(self, f"rollups_{resolution}"))

    def source(self, resolution: Resolution) -> sql.Identifier:
        """Return what the windows of a resolution are computed from."""
        return self.target(NARROWER[resolution]) if resolution in NARROWER else sql.Identifier(self.samples)


LIVE = Tables()


class Windows(msgspec.Struct, frozen=True):
    """The windows to compute: each of a shard, of a device, or of a fleet as a whole."""

    starts: Sequence[datetime]
    shards: Sequence[int | None] = ()
    entities: Sequence[int | None] = ()
    fleets: Sequence[str | None] = ()


def read_statement(name: str) -> sql.SQL:
    """Read a statement, or a part of one, from its file."""
    text: Any = (Path(__file__).parent / "sql" / f"{name}.sql").read_text()
    return sql.SQL(text)


def store_windows(
    connection: Connection,
    source: str,
    resolution: Resolution,
    windows: Windows,
    *,
    many: bool,
    single: bool,
    tables: Tables = LIVE,
) -> int:
    """Compute windows and store their rows; return the number of rows. `single`: changes are noted by entity."""
    # The planner assumes that a partition without statistics is empty, and would compare everything with everything.
    connection.execute("SET LOCAL enable_nestloop = off" if many else "SET LOCAL enable_nestloop = on")
    parameters: Mapping[str, Any] = {
        "shards": [*windows.shards],
        "windows": [*windows.starts],
        "entities": [*windows.entities],
        "fleets": [*windows.fleets],
        "single": single,
        "resolution": resolution,
        "width": WIDTHS[resolution],
    }
    return int(find_value(connection, _compose(source, resolution, tables), parameters))


def remove_unwritten(
    connection: Connection,
    resolution: Resolution,
    window: datetime,
    entities: Sequence[int],
    tables: Tables = LIVE,
) -> None:
    """Remove the rows of a window that this transaction has not written: they have no input any more."""
    remove = read_statement("remove").format(target=tables.target(resolution), changes=sql.Identifier(tables.changes))
    connection.execute(remove, {"window": window, "entities": [*entities], "resolution": resolution})


@cache
def _compose(source: str, resolution: Resolution, tables: Tables) -> sql.Composed:
    """Build a statement from a window's input, the computation and the target."""
    claimed = read_statement(source).format(source=tables.source(resolution))
    replace = read_statement("replace").format(target=tables.target(resolution), changes=sql.Identifier(tables.changes))
    return sql.SQL("WITH claimed AS ({}), {} {}").format(claimed, read_statement(_NUMBERS[source]), replace)
