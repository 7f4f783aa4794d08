"""`make simulate` runs histories in processes of its own and prints what they met."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_short_run_prints_its_table_and_how_many_histories_it_ran() -> None:
    paths = os.pathsep.join([str(ROOT), str(ROOT / "layers" / "sluice" / "python")])
    command = [sys.executable, "-m", "tests.simulation", "--minutes", "0.001", "--seed", "7", "--cores", "1"]
    environment = {**os.environ, "PYTHONPATH": paths, "PYTHONHASHSEED": "0"}
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=200)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "1 histories from seed 7 on" in ran.stdout
    assert "aggregate: database commit" in ran.stdout
    assert ran.stdout.rstrip().endswith("0 failed")
