"""Benchmarks that put the application's own parts together still fit them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.long
def test_benchmark_of_durability_measures_every_row(tmp_path: Path) -> None:
    written = tmp_path / "rows.json"
    command = [sys.executable, "-m", "benchmarks", "--quick", "--only", "durability"]
    done = subprocess.run(
        [*command, "--json", str(written)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "resume after kill -9" in written.read_text()
    assert json.loads(written.read_text())
