"""Builds the dashboard as a package for a function: our files, the chart library's and the API's description."""

import shutil
from pathlib import Path

from infra.api.openapi import write_openapi

ROOT = Path(__file__).resolve().parents[2]
WEB = ROOT / "web"
# What a browser needs of the one library; its version and content are pinned by web/package-lock.json.
CHART_LIBRARY = ("uPlot.iife.min.js", "uPlot.min.css")
PACKAGE = "sluice_page"


def assemble_page(python: Path) -> None:
    """Build the page below the directory that Lambda has on Python's path."""
    package = python / PACKAGE
    shutil.copytree(WEB / "assets", package / "assets")
    shutil.copy(WEB / "index.html", package)
    libraries = WEB / "node_modules" / "uplot" / "dist"
    for name in CHART_LIBRARY:
        if not (libraries / name).exists():
            raise FileNotFoundError(f"{libraries / name}: the page's libraries are not set up; run `make setup`")
        shutil.copy(libraries / name, package / "assets")
    (package / "openapi.json").write_bytes(write_openapi())
    (package / "__init__.py").touch()
