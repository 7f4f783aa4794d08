"""The page is shipped whole, to a function that can reach nothing."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

from infra.api import page
from infra.api.openapi import write_openapi
from infra.api.page import CHART_LIBRARY, assemble_page
from tests.infra.templates import Templates


def test_show_may_write_its_log_and_its_traces_and_nothing_else(templates: Templates) -> None:
    assert {action.partition(":")[0] for action in templates.granted("show")} == {"logs"}


def test_one_page_load_is_not_throttled(templates: Templates) -> None:
    files = len(list((page.WEB / "assets").iterdir())) + len(CHART_LIBRARY) + 1
    show = templates.functions()["show"].properties
    assert files <= show["ReservedConcurrentExecutions"]
    limits = templates.only("AWS::ApiGatewayV2::Stage").properties["RouteSettings"]
    assert limits["GET /assets/{name}"]["ThrottlingBurstLimit"] >= 10 * files


@pytest.mark.parametrize("templates", ["test"], indirect=True)
def test_the_layer_holds_the_page_the_chart_library_and_the_description(templates: Templates) -> None:
    directory = templates.files["pipeline"].parent
    shipped = [asset for asset in directory.glob("asset.*") if (asset / "python" / page.PACKAGE).is_dir()]
    assert len(shipped) == 1, "one layer, named by what is in it"
    package = shipped[0] / "python" / page.PACKAGE
    assets = {path.name for path in (package / "assets").iterdir()}
    assert assets == {path.name for path in (page.WEB / "assets").iterdir()} | set(CHART_LIBRARY)
    assert (package / "index.html").read_bytes() == (page.WEB / "index.html").read_bytes()
    assert json.loads((package / "openapi.json").read_text())["openapi"].startswith("3.1")


def test_a_page_whose_libraries_were_never_fetched_is_not_shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    web = tmp_path / "web"
    (web / "assets").mkdir(parents=True)
    (web / "index.html").touch()
    monkeypatch.setattr(page, "WEB", web)
    with pytest.raises(FileNotFoundError, match="run `make setup`"):
        assemble_page(tmp_path / "python")


def test_the_lock_file_names_no_registry_and_pins_every_content() -> None:
    locked = json.loads((page.WEB / "package-lock.json").read_text())["packages"]
    for name, package in locked.items():
        if name:
            assert "resolved" not in package
            assert package["integrity"].startswith("sha512-")
            # npm forgets programs for other machines when it writes the file beside an installation (npm/cli#4828).
            assert all(f"node_modules/{program}" in locked for program in package.get("optionalDependencies", {}))
    wanted = json.loads((page.WEB / "package.json").read_text())
    assert all(version[0].isdigit() for version in (wanted["dependencies"] | wanted["devDependencies"]).values())


def test_nothing_that_was_fetched_is_committed() -> None:
    ignored = (page.ROOT / ".gitignore").read_text().splitlines()
    assert "node_modules/" in ignored


def test_the_description_is_one_valid_document_that_refers_to_nothing_outside() -> None:
    written = write_openapi()
    document = json.loads(written)
    validate(document)
    references: list[str] = []

    def collect(value: Any) -> None:
        if isinstance(value, dict):
            references.extend([value["$ref"]] if isinstance(value.get("$ref"), str) else [])
            for each in value.values():
                collect(each)
        elif isinstance(value, list):
            for each in value:
                collect(each)

    collect(document)
    assert references
    for reference in references:
        place: Any = document
        for step in reference.removeprefix("#/").split("/"):
            place = place[step.replace("~1", "/").replace("~0", "~")]
    assert written == write_openapi()


def test_every_asset_the_page_names_is_shipped_and_none_lies_elsewhere() -> None:
    shipped = {path.name for path in (page.WEB / "assets").iterdir()} | set(CHART_LIBRARY)
    text = (page.WEB / "index.html").read_text()
    named = [piece.partition('"')[0] for piece in text.split('="/assets/')[1:]]
    assert set(named) <= shipped
    assert "http://" not in text
    assert "https://" not in text
    for script in (page.WEB / "assets").glob("*.js"):
        for line in script.read_text().splitlines():
            if ' from "' in line and line.startswith(("import", "}")):
                assert os.path.basename(line.split('"')[1]) in shipped, line  # noqa: PTH119 -- an address, not a path
