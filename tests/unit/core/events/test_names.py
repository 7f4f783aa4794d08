import json
import re
from pathlib import Path

import pytest

from sluice.core.events.names import is_name

SCHEMAS = Path(__file__).parents[4] / "schemas"
SURROGATES = range(0xD800, 0xE000)
# The usual characters of rules about text, and some rare ones.
CHARACTERS = [chr(number) for number in (*range(0x3100), 0xE000, 0xFEFF, 0xFFFD, 0xFFFF, 0x1FAE9, 0x10FFFF)]


def pattern_of(contract: str, field: str) -> re.Pattern[str]:
    schema = json.loads((SCHEMAS / contract / "1.json").read_text())
    return re.compile(schema["properties"][field]["pattern"])


@pytest.mark.parametrize(
    ("contract", "field"), [("telemetry", "device_id"), ("reading", "device_id"), ("activity", "source")]
)
def test_a_name_is_what_a_contract_takes_for_a_device(contract: str, field: str) -> None:
    pattern = pattern_of(contract, field)
    for written in ("{}", "a{}b", "{}b", "a{}"):
        names = (written.format(character) for character in CHARACTERS)
        differ = [name for name in names if is_name(name, 128) != bool(pattern.match(name))]
        # Python's $ also matches before a last line feed; no name may have one.
        assert not [name for name in differ if not name.endswith("\n")]
    for length in (0, 1, 128, 129):
        assert is_name("x" * length, 128) == bool(pattern.match("x" * length))


def test_half_a_surrogate_pair_is_in_no_name() -> None:
    assert not any(is_name(f"a{chr(number)}b", 128) for number in SURROGATES)
