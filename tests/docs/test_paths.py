"""Every path and every link in the README and on the pages leads somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "layers/sluice/python/sluice"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Its paths have placeholders; its links do not.
LINKING = [ROOT / "CONTRIBUTING.md", *PAGES]
# Our folders, which distinguish a path from a topic, a route or a media type.
FOLDERS = {path.name for path in ROOT.iterdir() if path.is_dir()} | {"core", "edge"}


def paths_in(text: str) -> set[str]:
    """What looks like a path from one of our folders."""
    found = re.findall(r"(?<![\w./-])((?:[\w.-]+/)+[\w.*-]*[\w*])", text)
    return {path for path in found if path.split("/")[0] in FOLDERS and not path.startswith((".local", ".venv", ".ci"))}


def anchors(page: Path) -> set[str]:
    """The names under which a page's headings can be linked to."""
    headings = re.findall(r"^#+ (.*)", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_path_exists(page: Path) -> None:
    missing = {
        path
        for path in paths_in(page.read_text())
        if not any([*folder.glob(path)] for folder in (ROOT, PACKAGE, ROOT / "tests", ROOT / "tests/unit", page.parent))
    }
    assert missing == set()


@pytest.mark.parametrize("page", LINKING, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_page_and_a_heading(page: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", page.read_text()):
        linked = (page.parent / target).resolve() if target else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), f"{target}#{anchor}"


def test_there_are_paths_and_links_to_look_at() -> None:
    assert len({path for page in PAGES for path in paths_in(page.read_text())}) > 60
