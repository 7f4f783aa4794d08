"""A run of checkpoint reports what it signed, or what was altered, and is no error where a store is away."""

from datetime import UTC, datetime, timedelta

import pytest

from functions.checkpoint.handler import check
from sluice.core.errors import Retryable
from sluice.edge.metrics import metrics
from tests.support.admin_documents import entries
from tests.support.played_audit import PlayedAudit, PlayedSigner

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose metrics they are."""
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "Sluice/test")
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "checkpoint")


def said() -> dict[str, float]:
    """The metrics of the run."""
    found = {name: sum(metric["Value"]) for name, metric in metrics.metric_set.items()}
    metrics.clear_metrics()
    return found


def test_what_was_signed_is_counted() -> None:
    audit = PlayedAudit(entries(3))
    assert check(audit.checkpointing(), NOW) == {"signed": 3, "unsigned": 0}
    assert said() == {"AuditAltered": 0, "CheckpointsSigned": 1, "EntriesUnsigned": 0}
    assert check(audit.checkpointing(), NOW + timedelta(minutes=5)) == {"signed": None, "unsigned": 0}
    assert said() == {"AuditAltered": 0, "CheckpointsSigned": 0, "EntriesUnsigned": 0}


def test_an_altered_audit_is_counted_and_named() -> None:
    audit = PlayedAudit(entries(3))
    check(audit.checkpointing(), NOW)
    said()
    audit.entries = entries(2)
    assert check(audit.checkpointing(), NOW) == {
        "altered": "entry 3: it is missing, like all after it: a checkpoint knows entry 3"
    }
    assert said() == {"AuditAltered": 1}
    audit.signer = PlayedSigner(b"another")
    assert "its signature does not match" in check(audit.checkpointing(), NOW)["altered"]
    assert said() == {"AuditAltered": 1}


def test_a_store_that_is_away_ends_the_run_and_writes_no_metric(monkeypatch: pytest.MonkeyPatch) -> None:
    audit = PlayedAudit(entries(3))

    def away(_text: bytes) -> tuple[bytes, str]:
        raise Retryable("KMS is away")

    monkeypatch.setattr(audit.signer, "sign", away)
    assert check(audit.checkpointing(), NOW) == {}
    assert said() == {}
    assert audit.stored == {}
