import pytest

from sluice.core.api.keys import PublishedKey
from sluice.core.errors import Refusal
from sluice.edge.api.gate import ReaderRequest
from tests.support.samples import NOW

KEY = PublishedKey("k1", "demo", "reader", "0" * 64, 1, 1)


def test_another_fleet_than_the_keys_is_refused() -> None:
    assert ReaderRequest(KEY, {"fleet": "demo"}, "", NOW, "c").fleet_id == "demo"
    for fleet in ("other", "Demo", "demo ", ""):
        with pytest.raises(Refusal) as refusal:
            _ = ReaderRequest(KEY, {"fleet": fleet}, "", NOW, "c").fleet_id
        assert (refusal.value.status, refusal.value.code) == (403, "wrong_fleet")
