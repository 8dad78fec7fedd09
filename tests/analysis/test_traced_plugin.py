"""The plugin that runs old commits' tests, in a pytest of its own."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from samples import write_files

from benchmarks.localisation.execute import PROGRAMS
from tools.results import Executed

FILES = {
    "shop.py": "def total(lines):\n    return sum(lines)\n\n\ndef tax():\n    return 1\n",
    "test_shop.py": (
        "import shop\n\ndef test_total(): assert shop.total([1]) == 2\n"
        "def test_tax(): assert shop.tax()\n"
    ),
    "test_other.py": "".join(f"def test_{number}(): pass\n" for number in range(99)),
}


def test_plugin_tells_what_named_tests_called_and_takes_some_of_the_others(tmp_path: Path) -> None:
    repo = write_files(tmp_path / "repo", FILES)
    for program in PROGRAMS:
        shutil.copy(program, tmp_path)
    told = {"names": ["test_total"], "near": ["test_shop.py"], "only": [], "out": "out.json"}
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "traced_plugin", "-p", "no:cacheprovider"],
        cwd=repo,
        env={**os.environ, "TRACED": json.dumps(told), "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        check=False,
    )
    said = json.loads((repo / "out.json").read_text())
    assert list(said["tests"])[:2] == ["test_shop.py::test_total", "test_shop.py::test_tax"]
    assert said["tests"]["test_shop.py::test_total"] == "failed"
    assert 20 < len(said["tests"]) < 50
    assert "assert 1 == 2" in said["messages"]["test_shop.py::test_total"]
    calls = Executed.model_validate(said["executed"]).calls()
    assert calls["test_shop.py::test_total"] == {("shop.py", 2), ("test_shop.py", 3)}
