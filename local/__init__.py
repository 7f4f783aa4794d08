"""The whole of Sluice on one machine: real services, and models of what AWS alone runs, started from the templates."""

import sys
from pathlib import Path

# Seeds and the like use the shared package; an entry in the environment itself would show it to functions whose
# template forgot its layer.
_SHARED = str(Path(__file__).parent.parent / "layers" / "sluice" / "python")
if _SHARED not in sys.path:
    sys.path.append(_SHARED)
