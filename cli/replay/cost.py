"""What a replay costs beside the month's bill, from its plan and the list prices."""

from collections.abc import Mapping
from typing import Any

from cli.cost.prices import load_prices

# resend and recount together. An hour of 1,000 devices took them 29 s at 1.7 GiB and 104 s at 1 GiB on a laptop.
GB_SECONDS_AN_EVENT = 450e-6
STEP_TRANSITIONS = 60
TRANSITIONS_A_CHUNK = 6
CHUNK_BYTES = 32 * 1024 * 1024
READS_A_FILE = 4


def estimate(plan: Mapping[str, Any]) -> float:
    """Return the dollars of Lambda, Step Functions and S3. Brokers and database are paid by the hour anyway."""
    prices = load_prices()
    events, files = plan["expected"]["events"], plan["files"]
    chunks = files["bytes"] // CHUNK_BYTES + 1
    return (
        prices["lambda_gb_second_arm"].cost(events * GB_SECONDS_AN_EVENT)
        + prices["step_functions_transition"].cost(STEP_TRANSITIONS + chunks * TRANSITIONS_A_CHUNK)
        + prices["s3_get"].cost(files["count"] * READS_A_FILE)
    )
