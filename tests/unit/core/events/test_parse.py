import pytest

from sluice.core.errors import Rejection
from sluice.core.events.parse import parse_event
from sluice.core.limits import Limits
from tests.support import samples


@pytest.mark.parametrize(
    ("slice_", "code"),
    [
        (b'{"a":1', "malformed_json"),
        (b'{"a":01}', "malformed_json"),
        (b"\xef\xbb\xbf{}", "malformed_json"),
        (b"tru", "malformed_json"),
        (b'{"a":1,"a":1}', "duplicate_key"),
        (b'{"a" :1,"a"\n\t:1}', "duplicate_key"),
        (b'{"a":":","a":1}', "duplicate_key"),
        (b'{":":1,":":1}', "duplicate_key"),
        (b'{"a":{"b":":","b":1}}', "duplicate_key"),
        (b'{"a":1,"\\u0061":2}', "duplicate_key"),
        (b'{"a":[{"b":1,"b":2}],"c":"x\\u003a"}', "duplicate_key"),
        (b'{"a":"\\u0000"}', "invalid_text"),
        (b'{"a\\u0000":1}', "invalid_text"),
        (b'{"a":"\\ud800"}', "invalid_text"),
        (b'{"a":"\\udc00\\ud800"}', "invalid_text"),
        (b'{"a":NaN}', "number_out_of_range"),
        (b'{"a":-Infinity}', "number_out_of_range"),
        (b'{"a":1e999}', "number_out_of_range"),
        (b'{"a":-1e999}', "number_out_of_range"),
        (b'{"a":1.0000001e15}', "number_out_of_range"),
        (b'{"a":[1,[2,{"c":9007199254740993}]]}', "number_out_of_range"),
        (b'{"a":' + b"9" * 400 + b"}", "number_out_of_range"),
        (b'{"a":' + b"9" * 20_000 + b"}", "number_out_of_range"),
        (b'{"a":' * 9 + b"{}" + b"}" * 9, "too_deep"),
        (b'{"a":' + b"[" * 8 + b"]" * 8 + b"}", "too_deep"),
        (b'{"a":' * 5000 + b"1" + b"}" * 5000, "too_deep"),
        (b'{"' + b"n" * 65 + b'":1}', "name_too_long"),
        (b'{"a":"' + b"x" * 32_768 + b'"}', "event_too_large"),
    ],
)
def test_what_two_readers_could_take_differently_is_rejected_with_its_own_code(slice_: bytes, code: str) -> None:
    with pytest.raises(Rejection) as rejected:
        parse_event(slice_, Limits())
    assert rejected.value.code == code
    assert len(rejected.value.message) < 300


@pytest.mark.parametrize(
    "slice_",
    [
        *(samples.read_bytes(f"{name}.json") for name in ("telemetry-v1", "telemetry-v2", "reading-v2", "activity-v1")),
        b'{"a":"::::","b:":"\\u003a","c":{"a":[":",{"a":":"}]}}',
        b'{"a":' * 8 + b"1" + b"}" * 8,
        b'{"a":1e15,"b":-1e15,"c":1000000000000000}',
        '{"a":"Gerät 😀","b":"\\ud83d\\ude00"}'.encode(),
        b'{"' + b"n" * 64 + b'":null}',
    ],
)
def test_what_is_within_the_limits_is_read_as_any_reader_would(slice_: bytes) -> None:
    import json

    assert parse_event(slice_, Limits()) == json.loads(slice_)
