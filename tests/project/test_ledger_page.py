"""The commands of docs/ledger.md work as they stand there."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from filled_ledger import fill
from samples import ROOT

from checkpoints.ledger import Ledger

PAGE = (ROOT / "docs/ledger.md").read_text()
COMMANDS = re.findall(r"^sqlite-utils (.*)$", PAGE, flags=re.MULTILINE)
SHOWN = [
    ["test_calc.py::test_mean"],
    ["calculator-0a1b2c", "verdict", "1", "failed", "0.2"],
    ["2", '["calc.py"]', "2", "1", "1", "0", "passed"],
    ["calc.py", "1", "2"],
]
"""The words of a line that each command prints."""


@pytest.mark.parametrize(("command", "shown"), [*zip(COMMANDS, SHOWN, strict=True)])
def test_ledger_page_command_shows_what_it_says(
    command: str, shown: list[str], tmp_path: Path
) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    fill(ledger, "calculator-0a1b2c")
    ledger.close()
    words = [sys.executable, "-m", "sqlite_utils", *shlex.split(command)]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [re.split(r"[\s,]+", line.strip()) for line in done.stdout.splitlines()]
    assert any(set(shown) <= {word.strip('"') for word in line} | set(line) for line in lines), (
        done.stdout
    )


def test_ledger_page_names_every_table_and_view(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    names = ledger._file.rows("select name from sqlite_master where type in ('table', 'view')")
    ledger.close()
    assert [row["name"] for row in names if f"`{row['name']}`" not in PAGE] == []
