"""What the agent inside a desktop may cost: it is most of a desktop's start and of its memory."""

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    "typing", "collections", "re", "enum", "functools", "contextlib", "json", "socket", "signal",
    "threading", "pathlib", "ctypes",
}  # fmt: skip


@pytest.mark.usefixtures("server")
def test_agent_imports_no_heavy_module(data_dir: Path) -> None:
    (agent,) = (data_dir / "templates").glob("*/desktop/agent")
    program = (
        f"import sys; sys.path.insert(0, {str(agent)!r}); import sentient_desktop.sandbox.agent; "
        "print(*sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True
    )
    assert HEAVY & set(result.stdout.split()) == set()
