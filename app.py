"""The CDK app. `python app.py` synthesizes into cdk.out, offline, without credentials and without the CDK CLI."""

import json
import os
from pathlib import Path

from infra.stacks import define

# cdk.json holds the defaults whoever starts this: run directly, nobody else reads it. There it also says
# that no layer is bundled; the CLI overrides that for the stacks it deploys, `-c` and CDK_CONTEXT_JSON all of it.
context = json.loads(Path(__file__).with_name("cdk.json").read_text())["context"]

define(context, outdir=os.environ.get("CDK_OUTDIR", "cdk.out")).synth()
