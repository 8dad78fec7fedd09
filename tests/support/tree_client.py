"""A desktop whose one folder is changed and described by tree_program.py, through the SDK."""

import shlex
import time
from pathlib import Path
from typing import Any

import httpx
from e2b import Sandbox
from tree_model import Change

PROGRAM = (Path(__file__).parent / "inside/tree_program.py").read_text()
ROOT, PORT = "/workspace/tree", 3333


class TreeDesktop:
    """One desktop with the program in it, started again whenever its processes are gone."""

    def __init__(self, sandbox: Sandbox, http: httpx.Client) -> None:
        self.sandbox = sandbox
        self._http = http

    def start(self) -> None:
        """Start the program; the desktop was just booted."""
        program = shlex.join(["python3", "-I", "-S", "-c", PROGRAM, ROOT, str(PORT)])
        self.sandbox.commands.run(f"setsid {program} < /dev/null > /run/tree.log 2>&1 &")

    def exchange(self, changes: list[Change]) -> dict[str, Any]:
        """Describe the folder, change it, and describe it again: before, results, after."""
        headers = {"E2b-Sandbox-Id": self.sandbox.sandbox_id, "E2b-Sandbox-Port": str(PORT)}
        deadline = time.monotonic() + 20
        while True:
            answer = self._http.post("/", json=changes, headers=headers, timeout=60)
            if answer.status_code != 502 or time.monotonic() > deadline:
                break
            time.sleep(0.003)  # the program is still starting
        assert answer.status_code == 200, answer.text
        return answer.json()  # type: ignore[no-any-return]

    def log(self) -> str:
        return self.sandbox.files.read("/run/tree.log")
