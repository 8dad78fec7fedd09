"""`--verbose` in a real pseudo-terminal, and piped: what is shown, and what is not."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from samples import MAIN, Repo, Run
from scripted_model import Script, call, scripted_model
from terminal import Terminal, squeezed, terminal

LONG, WIDE = "wrapped-" * 30, "\u6e2c\u8a66" * 20
PRINTING = (
    "printf '\\033]0;owned\\007\\033[2J\\033[31mred\\033[0m\\r\\bback\\n'; "
    f"echo {LONG}; echo {WIDE}; echo '[bold]no markup[/bold]'; sleep 1.5"
)
THOUGHT = "I look first.\nThen I divide by the count."
CODER = [
    {**call("shell", command=PRINTING), "text": THOUGHT},
    call("replace", path="calc.py", old="(len(values) + 1)", new="len(values)"),
    call("hand_in", summary="divided by the number of values"),
]
TOLD = [
    "coder     I look first.", "coder     Then I divide by the count.", f"act       {LONG}",
    f"act       {WIDE}", "act       red", "act       [bold]no markup[/bold]",
    "failed test_calc.py::test_mean_of_two", "passed test_calc.py::test_clamp_inside",
]  # fmt: skip
"""Lines of the model, of a command, and of the tests."""

SPINNER = re.compile("[\u2800-\u28ff]")


@pytest.fixture(scope="module")
def env(home: Path) -> Iterator[dict[str, str]]:
    with scripted_model(Script(coder=CODER)) as url:
        yield {"SENTIENT_HOME": str(home), "SENTIENT_MODEL": "scripted", "OPENAI_BASE_URL": url}


def check_screen(shown: Terminal) -> None:
    """Nothing of the desktop steered the terminal, and what moved on it is gone."""
    assert b"\x1b]" not in shown.written
    assert b"\x1b[2J" not in shown.written
    assert not SPINNER.search(shown.text)
    assert not shown.screen.cursor.hidden


def test_verbose_run_in_a_terminal_streams_stops_at_ctrl_c_and_goes_on_piped(
    env: dict[str, str], repo: Repo, sentient: Run
) -> None:
    command = [*MAIN, "fix", str(repo()), "--thread", "terminal", "-v"]
    with terminal(command, {**os.environ, **env}, width=60) as shown:
        shown.read_until("act       [bold]no markup[/bold]")
        shown.press(b"\x03")
        assert shown.wait() == 130
    check_screen(shown)
    assert b"\x1b[" in shown.written
    assert squeezed("stopping when this is done: ") in shown.text
    assert shown.rows[-1] == "stopped; go on with: sentient resume terminal"
    assert [line for line in TOLD[:6] if shown.text.count(squeezed(line)) != 1] == []
    resumed = sentient("resume", "terminal", "-v", env={**env, "TERM": "xterm-256color"})
    assert resumed.returncode == 0, resumed.stderr
    assert "verified" in resumed.stdout
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", resumed.stderr + resumed.stdout)
    assert not SPINNER.search(resumed.stderr)
    assert "replace(path='calc.py'" in resumed.stderr
    assert "passed test_calc.py::test_mean_of_two" in resumed.stderr


@pytest.mark.long
@pytest.mark.parametrize("width", [20, 43, 80, 250])
def test_verbose_run_in_a_terminal_of_any_width_leaves_each_line_once(
    env: dict[str, str], repo: Repo, width: int
) -> None:
    command = [*MAIN, "fix", str(repo()), "--thread", f"terminal-{width}", "-v"]
    with terminal(command, {**os.environ, **env}, width) as shown:
        assert shown.wait() == 0
    check_screen(shown)
    assert [line for line in TOLD[:6] if shown.text.count(squeezed(line)) != 1] == []
    assert [line for line in TOLD[6:] if squeezed(line) not in shown.text] == []
    assert shown.text.count("verdict:") == 1
