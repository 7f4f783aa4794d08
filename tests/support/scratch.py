"""Where tests write: in memory, where the machine has enough of it.

Tests make hundreds of databases of hundreds of files each, and every file costs a busy disk much more than the memory.
Nothing that tests write has to survive the machine.
"""

import os
import shutil
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108 - its directories have names by chance
ROOM = 4 << 30
"""Three stacks at once write less than a quarter of it."""


def write_to_memory() -> None:
    """Let this process and those it starts make their temporary files in memory, unless a place was chosen for them."""
    if "TMPDIR" in os.environ or not MEMORY.is_dir():
        return
    # PostgreSQL's programs are copied beside its data.
    runs_programs = not os.statvfs(MEMORY).f_flag & os.ST_NOEXEC
    if runs_programs and shutil.disk_usage(MEMORY).free >= ROOM:
        os.environ["TMPDIR"] = str(MEMORY)
        tempfile.tempdir = None
