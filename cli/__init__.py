"""The commands of people who run Sluice, one module for each; `python -m cli <command>` runs one.

Each asks a deployed stage, or the local stack as its stack.json describes it.
"""

import sys
from pathlib import Path

# Commands read what functions answer with the types of the shared package.
_SHARED = str(Path(__file__).parent.parent / "layers" / "sluice" / "python")
if _SHARED not in sys.path:
    sys.path.append(_SHARED)
