"""`python -m local.page`: sets up the packages of the dashboard's page, which the templates ship."""

import json
from pathlib import Path

from local.processes import ROOT, StackError
from local.synthesis import node_directory
from local.tools import run_tool

WEB = ROOT / "web"


def page_is_complete(web: Path) -> bool:
    """Whether the page's packages are those of its lock file: npm writes down what it has installed.

    An optional package is a program for one kind of machine: npm leaves out those of the others.
    """
    try:
        installed, locked = (
            json.loads((web / name).read_text())["packages"]
            for name in ("node_modules/.package-lock.json", "package-lock.json")
        )
    except FileNotFoundError:
        return False
    wanted = {
        name: package
        for name, package in locked.items()
        if name and (name in installed or not package.get("optional", False))
    }
    # npm also leaves out an optional package that it failed to fetch, and says nothing.
    choices = [package["optionalDependencies"] for package in wanted.values() if "optionalDependencies" in package]
    runs_here = all(any(f"node_modules/{name}" in installed for name in choice) for choice in choices)
    return bool(installed == wanted) and runs_here


def install_page(web: Path) -> None:
    """Have npm fetch the page's packages, without running the scripts they bring."""
    if page_is_complete(web):
        return
    print("setting up the page's packages ...", flush=True)
    node = node_directory()
    npm = node.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    run_tool([str(node / "node"), str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund"], web)
    if not page_is_complete(web):
        raise StackError("npm could not fetch a program that checks the page; run `make setup` again")


if __name__ == "__main__":
    try:
        install_page(WEB)
    except StackError as error:
        raise SystemExit(f"setting up failed: {error}") from None
