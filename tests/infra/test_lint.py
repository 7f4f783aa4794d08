"""The templates are valid by AWS's own resource schemas."""

import subprocess
import sys
from pathlib import Path

from tests.infra.templates import Templates

IGNORED = {
    "W3005": "the CDK states dependencies that a reference already implies",
    "W3045": "bucket ownership is set explicitly beside the controls that make ACLs moot",
}


def test_cfn_lint_finds_nothing(templates: Templates) -> None:
    linter = Path(sys.executable).with_name("cfn-lint")
    found = subprocess.run(
        [str(linter), "--ignore-checks", *IGNORED, "--regions", "us-east-1", "--", *map(str, templates.files.values())],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr
