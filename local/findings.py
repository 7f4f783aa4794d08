"""What a doctor says of one thing: what there is, or what is missing and what to do."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that is needed, and what there is of it, or else what to do."""

    what: str
    says: str
    missing: bool = False


def write_findings(findings: Sequence[Finding]) -> list[str]:
    """Write a line for each finding."""
    width = max(len(one.what) for one in findings)
    return [f"{'missing' if one.missing else 'ok':8} {one.what:{width}}  {one.says}" for one in findings]
