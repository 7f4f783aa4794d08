"""A link to the dashboard: its address keeps the view, as `web/assets/view.js` reads it."""

from datetime import datetime, timedelta
from urllib.parse import quote, urlencode

AROUND = timedelta(minutes=15)
"""How much the view shows before and after."""
LONGEST = timedelta(days=365)


def link_series(
    address: str, *, fleet_id: str, device_id: str | None, metric: str, since: datetime, until: datetime
) -> str:
    """Link to the series of a device, or of the fleet as a whole, around some time: at most to the last year of it."""
    end = until + AROUND
    view = {
        "fleet": fleet_id,
        "device": device_id,
        # Silence is not of one metric: the page shows all.
        "metric": metric or None,
        "from": int(max(since - AROUND, end - LONGEST).timestamp()),
        "to": int(end.timestamp()),
    }
    said = {name: value for name, value in view.items() if value is not None}
    return f"{address}/#{urlencode(said, quote_via=quote)}"
