"""The list of commands: true, and there before the graph could be imported."""

import subprocess
import sys
from pathlib import Path

import pytest

from sentient.commands import COMMANDS, app

LISTED = """
import sys
from sentient.cli import main

sys.argv = ["sentient", *sys.argv[1:]]
try:
    main()
finally:
    print({"langgraph", "e2b", "psycopg"} & {*sys.modules}, file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ([], 2, "Commands:"),
        (["--help"], 0, "fix "),
        (["treads"], 2, "Did you mean 'threads'?"),
        (["threads"], 0, "no threads yet"),
    ],
)
def test_command_without_a_graph_imports_none(
    tmp_path: Path, command: list[str], code: int, said: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LISTED, *command],
        capture_output=True, text=True, check=False, env={"SENTIENT_HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == code
    assert said in done.stdout + done.stderr
    assert done.stderr.endswith("set()\n")


@pytest.mark.parametrize("name", COMMANDS)
def test_command_in_the_list_exists_and_explains_itself(name: str) -> None:
    command = app.get_command(None, name)
    assert command.help.strip().endswith(".")


def test_list_fits_a_terminal() -> None:
    assert all(len(summary) <= 66 for _, summary in COMMANDS.values())
