"""The contracts as shipped with the code: the schema files are next to the package, in the layer and the checkout."""

from pathlib import Path

import msgspec

from sluice.core.events.contracts import ACTIVITY, READING, TELEMETRY, Contracts
from sluice.core.events.units import SeriesBook

SCHEMAS = Path(__file__).parents[4] / "schemas"


def load_contracts() -> Contracts:
    """Read and compile every version of every contract."""
    files = (
        path for contract in (TELEMETRY, READING, ACTIVITY) for path in sorted((SCHEMAS / contract).glob("*.json"))
    )
    return Contracts((msgspec.json.decode(path.read_bytes()) for path in files), load_series())


def load_series() -> SeriesBook:
    """Read the declared series and units."""
    return msgspec.json.decode((SCHEMAS / "series.json").read_bytes(), type=SeriesBook)
