"""Lookup has no access to our resources, and asks the directory that the context names."""

from pathlib import Path

import pytest

from infra.profiles import profile_named
from infra.stacks import define
from sluice.edge.settings import DirectorySettings
from tests.infra.templates import STACKS, Templates, context

DIRECTORY = "https://directory.example/v2"


def test_lookup_may_log_and_trace_and_nothing_else(templates: Templates) -> None:
    assert {action.partition(":")[0] for action in templates.granted("lookup")} == {"logs"}


def test_without_a_directory_lookup_has_no_address(templates: Templates) -> None:
    assert templates.settings("lookup", DirectorySettings).directory_url == "none"


def test_the_directorys_address_comes_from_the_context(tmp_path: Path) -> None:
    define(context("dev", directory=DIRECTORY), outdir=str(tmp_path)).synth()
    files = {stack: tmp_path / f"sluice-proof-{stack}.template.json" for stack in STACKS}
    templates = Templates(profile_named("dev"), files)
    assert templates.settings("lookup", DirectorySettings).directory_url == DIRECTORY


@pytest.mark.parametrize(
    "address",
    [
        "http://directory.example",
        "directory.example",
        "https://user:password@directory.example",
        "https://directory.example/?token=x",
        "https://directory.example#x",
        "",
    ],
)
def test_an_address_without_encryption_or_with_more_than_a_place_is_refused(tmp_path: Path, address: str) -> None:
    with pytest.raises(ValueError, match="must be an https address"):
        define(context("dev", directory=address), outdir=str(tmp_path))
