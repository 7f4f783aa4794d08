"""`python -m local.packages FILE ...`: installs requirements, as pinned in constraints.txt, by uv.

uv reads none of pip's configuration, so this passes it on: a mirror, a certificate or a proxy is configured once. It
runs before there is any package but pip and uv.
"""

import ast
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

SYSTEM_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")

#: pip's settings by what uv calls them, and what uv separates several values by.
NAMES = {
    "cert": ("SSL_CERT_FILE", ""),
    "client-cert": ("SSL_CLIENT_CERT", ""),
    "proxy": ("ALL_PROXY", ""),
    "default-timeout": ("UV_HTTP_TIMEOUT", ""),
    "timeout": ("UV_HTTP_TIMEOUT", ""),
    "index-url": ("UV_DEFAULT_INDEX", ""),
    "extra-index-url": ("UV_INDEX", " "),
    "find-links": ("UV_FIND_LINKS", ","),
    "trusted-host": ("UV_INSECURE_HOST", " "),
}


def read_settings(listed: str) -> dict[str, str]:
    """Read what `pip config list` says of installing: variables win over the command's section, and that over all."""
    by_section: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
    for line in listed.splitlines():
        key, _, value = line.partition("=")
        section, _, name = key.partition(".")
        if section in by_section:
            by_section[section][name] = ast.literal_eval(value)
    return {name: value for settings in by_section.values() for name, value in settings.items()}


def translate(settings: Mapping[str, str]) -> dict[str, str]:
    """Say pip's settings in the variables that uv reads."""
    said = {NAMES[name][0]: NAMES[name][1].join(value.split()) for name, value in settings.items() if name in NAMES}
    if "UV_INDEX" in said:
        # As pip does: the best version of all indexes, and not what the first that has the package offers.
        said["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return said


def environment(given: Mapping[str, str], settings: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for uv: what is set for it already stays."""
    # A company's own authority is known to the system, not to the list that uv brings.
    system = {"SSL_CERT_FILE": str(SYSTEM_CERTIFICATES)} if SYSTEM_CERTIFICATES.exists() else {}
    return {**system, **translate(settings), **given}


def install(files: Sequence[str]) -> int:
    """Have uv install the files' requirements beside the Python that runs this."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "config", "list"]
    listed = subprocess.run(pip, stdout=subprocess.PIPE, text=True, check=True).stdout
    uv = [str(Path(sys.executable).with_name("uv")), "pip", "install", "--quiet", "--python", sys.executable]
    requirements = [argument for file in files for argument in ("--requirement", file)]
    command = [*uv, "--constraint", "constraints.txt", *requirements]
    return subprocess.run(command, env=environment(os.environ, read_settings(listed)), check=False).returncode


if __name__ == "__main__":
    sys.exit(install(sys.argv[1:]))
