"""Requests as events and answers as responses, in payload format 2.0."""

import base64
import gzip
import json
from typing import Any

import pytest

from local.models.http_event import BadAnswer, body_fields, joined_headers, query_fields, read_answer

TEXT = b'{"a": "\xc3\xa4"}'


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "Application/JSON; charset=utf-8", "application/xml", "application/javascript", "text/plain"],
)
def test_bodies_of_text_types_are_text(content_type: str) -> None:
    assert body_fields(TEXT, {"content-type": content_type}) == {"body": TEXT.decode(), "isBase64Encoded": False}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/octet-stream"},
        {"content-type": "application/problem+json"},
        {"content-type": "application/json", "content-encoding": "gzip"},
    ],
)
def test_all_other_bodies_are_base64(headers: dict[str, str]) -> None:
    body = gzip.compress(TEXT)
    fields = body_fields(body, headers)

    assert fields["isBase64Encoded"] is True
    assert base64.b64decode(fields["body"]) == body


def test_text_that_is_not_utf8_keeps_its_bytes() -> None:
    fields = body_fields(b"\xff\xfe{", {"content-type": "application/json"})

    assert base64.b64decode(fields["body"]) == b"\xff\xfe{"


def test_no_body_is_no_field() -> None:
    assert body_fields(b"", {"content-type": "application/json"}) == {"isBase64Encoded": False}


def test_headers_are_lower_case_and_joined_and_cookies_are_apart() -> None:
    headers, cookies = joined_headers(
        [("X-One", "1"), ("x-one", "2"), ("Cookie", "a=1; b=2"), ("cookie", "c=3"), ("Connection", "keep-alive")]
    )

    assert headers == {"x-one": "1,2"}
    assert cookies == ["a=1", "b=2", "c=3"]


def test_query_parameters_are_decoded_and_joined() -> None:
    assert query_fields("a=1&a=%20x&b=") == {
        "rawQueryString": "a=1&a=%20x&b=",
        "queryStringParameters": {"a": "1, x", "b": ""},
    }
    assert query_fields("") == {"rawQueryString": ""}


def answered(answer: Any) -> Any:
    return read_answer(json.dumps(answer).encode())


def test_an_answer_with_a_status_is_taken_as_it_says() -> None:
    answer = answered(
        {
            "statusCode": 207,
            "headers": {"Content-Type": "application/json", "Retry-After": 3},
            "cookies": ["a=1", "b=2"],
            "body": "ä",
        }
    )

    assert (answer.status, answer.body) == (207, "ä".encode())
    assert answer.headers == [
        ("content-type", "application/json"),
        ("retry-after", "3"),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
    ]


def test_a_base64_answer_is_bytes() -> None:
    body = base64.b64encode(b"\x00\xff").decode()

    assert answered({"statusCode": 200, "isBase64Encoded": True, "body": body}).body == b"\x00\xff"


@pytest.mark.parametrize("answer", [{"message": "hello"}, ["hello"], "hello", 3])
def test_an_answer_without_a_status_is_a_body(answer: Any) -> None:
    response = answered(answer)

    assert (response.status, json.loads(response.body)) == (200, answer)
    assert response.headers == [("content-type", "application/json")]


def test_an_answer_without_a_type_is_plain_text() -> None:
    assert answered({"statusCode": "204"}).headers == [("content-type", "text/plain;charset=UTF-8")]


@pytest.mark.parametrize(
    "answer",
    [
        {"statusCode": "many"},
        {"statusCode": 99},
        {"statusCode": 200, "body": {"not": "text"}},
        {"statusCode": 200, "headers": ["no", "map"]},
        {"statusCode": 200, "headers": {"x": {"nested": 1}}},
        {"statusCode": 200, "isBase64Encoded": True, "body": "not base64!"},
    ],
)
def test_an_answer_that_is_no_response_is_refused(answer: Any) -> None:
    with pytest.raises(BadAnswer):
        answered(answer)


def test_header_bytes_beyond_ascii_are_passed_on_and_break_nothing() -> None:
    received = b"\xff\xc3\xa9".decode(errors="surrogateescape")
    joined, _ = joined_headers([("X-Correlation-Id", received)])
    assert joined == {"x-correlation-id": "\xff\xc3\xa9"}
