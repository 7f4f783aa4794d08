"""The CDK app. `python app.py` synthesizes into cdk.out, offline, without credentials and without the CDK CLI."""

import json
import os
from pathlib import Path

from infra.stacks import define

# cdk.json holds the defaults. Only the CDK's CLI reads it by itself, so this reads it for a direct run. It says that no
# layer is bundled; the CLI overrides that for the stacks it deploys, and `-c` or CDK_CONTEXT_JSON any of it.
context = json.loads(Path(__file__).with_name("cdk.json").read_text())["context"]

define(context, outdir=os.environ.get("CDK_OUTDIR", "cdk.out")).synth()
