"""Small repositories for tests, and ways to look at folders."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
"""The project's own folder."""

CALC = '''\
def mean(values):
    """The arithmetic mean."""
    return sum(values) / (len(values) + 1)


def clamp(value, low, high):
    """The value, moved into [low, high]."""
    return max(low, min(value, high))
'''

TEST_CALC = """\
from calc import clamp, mean


def test_mean_of_two():
    assert mean([2, 4]) == 3


def test_mean_of_one():
    assert mean([5]) == 5


def test_clamp_inside():
    assert clamp(3, 0, 10) == 3


def test_clamp_outside():
    assert clamp(11, 0, 10) == 10
"""

CALCULATOR = {"calc.py": CALC, "test_calc.py": TEST_CALC}
"""A repository with a wrong mean: two of its four tests fail."""

CALCULATOR_PATCH = (ROOT / "tests/golden/calculator.patch").read_text()
"""The patch of a run on it that nothing disturbs; `tests/cli/test_commands.py` holds it to that."""

MARKED_PATCH = (ROOT / "tests/golden/calculator-marked.patch").read_text()
"""The same with the lines `# one` and `# two` at its end; see `tests/cli/test_history.py`."""

STOREFRONT_PATCH = (ROOT / "tests/golden/storefront.patch").read_text()
"""The patch of the example repository, as a person would write it."""

MAIN = [sys.executable, "-c", "from sentient.cli import main; main()"]
"""The command, for a process of its own."""

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Repo = Callable[..., Path]


def write_files(folder: Path, files: dict[str, str]) -> Path:
    """Write {path: text} into a folder."""
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return folder


def tree_of(folder: Path) -> dict[str, bytes]:
    """Every file of a folder with its bytes."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def copy_example(target: Path) -> Path:
    """A copy of the example repository."""
    return Path(shutil.copytree(ROOT / "examples/storefront", target))
