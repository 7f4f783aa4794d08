"""Records of `alert-events`, as alert reads them."""

import msgspec

from sluice.core.detect.verdicts import VERSION, Verdict
from sluice.core.errors import Ahead, Poison


class _Versioned(msgspec.Struct, frozen=True):
    version: int


def read_verdict(value: bytes) -> Verdict:
    """Read a verdict; raise Ahead for one of a newer release, and Poison for what is none."""
    try:
        version = msgspec.json.decode(value, type=_Versioned).version
        if version > VERSION:
            raise Ahead(f"version {version} of verdicts")
        verdict = msgspec.json.decode(value, type=Verdict)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Poison(f"this is no verdict: {error}") from error
    times = [verdict.received_at, *(reading.at for reading in verdict.readings)]
    if any(time.tzinfo is None for time in times):
        raise Poison("this is no verdict: a time has no zone")
    texts = (verdict.fleet_id, verdict.device_id, verdict.rule_id, verdict.metric, verdict.unit)
    read = [text for one in verdict.readings for text in (one.why, one.event_id or "", one.correlation_id)]
    if any("\0" in text for text in (*texts, *read, verdict.correlation_id, verdict.firmware)):
        raise Poison("this is no verdict: a text has U+0000")
    if not 1 <= verdict.breaches <= verdict.of:
        raise Poison(f"{verdict.breaches} of {verdict.of} readings can never be breaches")
    return verdict
