"""The page from its layer: a package of files next to ours."""

from importlib import resources

from sluice.core.api.page import PageFile, make_file

PACKAGE = "sluice_page"


def load_page() -> dict[str, PageFile]:
    """Read every file of the page."""
    root = resources.files(PACKAGE)
    found = {name: root / name for name in ("index.html", "openapi.json")}
    found |= {f"assets/{file.name}": file for file in (root / "assets").iterdir()}
    return {name: make_file(name, file.read_bytes()) for name, file in found.items()}
