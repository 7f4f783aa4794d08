"""What show serves: files from a fixed list, compressed, with ETags, under a policy that lets nothing else run."""

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from functions.show.handler import show
from infra.api.page import PACKAGE, assemble_page
from sluice.core.api.page import PageFile, make_file
from sluice.edge.api.page import load_page

SCHEMAS = Path(__file__).parents[3] / "schemas"
SCRIPT = b"export const answer = 42;\n" * 20


@pytest.fixture
def files() -> dict[str, PageFile]:
    contents = {"index.html": b"<!doctype html>", "openapi.json": b"{}", "assets/main.js": SCRIPT}
    return {name: make_file(name, content) for name, content in contents.items()}


def ask(files: dict[str, PageFile], route: str, name: str | None = None, **headers: str) -> tuple[int, Any, bytes]:
    """Ask as the gateway does, and read the answer as it reads it."""
    event: dict[str, Any] = {
        "routeKey": route,
        "headers": {header.replace("_", "-"): value for header, value in headers.items()},
        "requestContext": {"requestId": "r-1"},
        **({} if name is None else {"pathParameters": {"name": name}}),
    }
    answer = show(event, files).for_gateway()
    body = answer["body"]
    return (
        answer["statusCode"],
        answer["headers"],
        base64.b64decode(body) if "isBase64Encoded" in answer else body.encode(),
    )


@pytest.mark.parametrize(
    ("route", "name", "media_type", "content"),
    [
        ("GET /", None, "text/html; charset=utf-8", b"<!doctype html>"),
        ("GET /openapi.json", None, "application/json", b"{}"),
        ("GET /assets/{name}", "main.js", "text/javascript; charset=utf-8", SCRIPT),
    ],
)
def test_each_route_leads_to_its_file(
    files: dict[str, PageFile], route: str, name: str | None, media_type: str, content: bytes
) -> None:
    status, headers, body = ask(files, route, name)
    assert (status, headers["content-type"], body) == (200, media_type, content)


def test_who_takes_gzip_gets_it(files: dict[str, PageFile]) -> None:
    status, headers, body = ask(files, "GET /assets/{name}", "main.js", accept_encoding="br, gzip;q=0.8")
    assert (status, headers["content-encoding"], headers["vary"]) == (200, "gzip", "accept-encoding")
    assert gzip.decompress(body) == SCRIPT
    assert len(body) < len(SCRIPT)
    for refused in ("br", "gzip;q=0", ""):
        assert "content-encoding" not in ask(files, "GET /assets/{name}", "main.js", accept_encoding=refused)[1]


def test_a_client_that_has_the_file_gets_a_304_and_asks_each_time(files: dict[str, PageFile]) -> None:
    _, plain, _ = ask(files, "GET /")
    _, packed, _ = ask(files, "GET /", accept_encoding="gzip")
    assert plain["etag"] != packed["etag"], "other bytes, another tag"
    assert plain["cache-control"] == "no-cache"
    for known in (plain["etag"], f'"another", W/{plain["etag"]}'):
        status, headers, body = ask(files, "GET /", if_none_match=known)
        assert (status, body, headers["etag"]) == (304, b"", plain["etag"])
    assert ask(files, "GET /", if_none_match='"another"')[0] == 200


@pytest.mark.parametrize(
    "name", ["missing.js", "../index.html", "..%2findex.html", "/etc/passwd", "index.html", "__init__.py", "", "."]
)
def test_what_is_not_on_the_list_is_a_problem_that_says_so(files: dict[str, PageFile], name: str) -> None:
    status, headers, body = ask(files, "GET /assets/{name}", name)
    problem = json.loads(body)
    jsonschema.validate(problem, json.loads((SCHEMAS / "problem" / "1.json").read_text()))
    assert (status, problem["code"], headers["content-type"]) == (404, "not_found", "application/problem+json")
    assert headers["x-content-type-options"] == "nosniff"


def test_every_answer_forbids_scripts_and_styles_from_elsewhere_and_from_the_page_itself(
    files: dict[str, PageFile],
) -> None:
    for route, name in (("GET /", None), ("GET /assets/{name}", "main.js"), ("GET /assets/{name}", "missing")):
        _, headers, _ = ask(files, route, name)
        rules = dict(rule.strip().split(" ", 1) for rule in headers["content-security-policy"].split(";"))
        assert rules["default-src"] == "'none'"
        assert {rules["script-src"], rules["style-src"], rules["connect-src"]} == {"'self'"}
        assert rules["frame-ancestors"] == rules["base-uri"] == rules["form-action"] == "'none'"
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


def test_what_is_shipped_is_what_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assemble_page(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    shipped = load_page()
    assert shipped["index.html"].plain == (tmp_path / PACKAGE / "index.html").read_bytes()
    assert {"assets/main.js", "assets/uPlot.iife.min.js", "openapi.json"} <= set(shipped)
    assert all(gzip.decompress(file.packed) == file.plain for file in shipped.values())


def test_the_page_asks_for_nothing_that_its_rules_forbid(tmp_path: Path) -> None:
    assemble_page(tmp_path)
    page = (tmp_path / PACKAGE / "index.html").read_text()
    for inline in ("<style", " style=", " onclick=", " onload=", "javascript:", "<script>"):
        assert inline not in page
