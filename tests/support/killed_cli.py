"""The `sentient` command, with a SIGKILL of itself (or of the server) planted at one point.

    python killed_cli.py NODE PHASE VICTIM LOG -- arguments of sentient

PHASE: `entered` (before the node does anything), `worked` (after its work, before its snapshot),
`sealed` (after its snapshot, before its checkpoint). VICTIM: `self` or `server`. The product's
code has no kill points; they are planted from here. A kill happens once: LOG records it.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from checkpoints.binding import Binding
from nodes import context

NODE, PHASE, VICTIM, LOG = sys.argv[1:5]


def kill(node: str, phase: str) -> None:
    if (node, phase) != (NODE, PHASE) or Path(LOG).exists():
        return
    Path(LOG).write_text(f"{node} {phase} {VICTIM}")
    if VICTIM == "self":
        os.kill(os.getpid(), signal.SIGKILL)
    home = os.environ["SENTIENT_HOME"]
    server = json.loads(Path(home, "desktop/server.json").read_text())
    os.kill(server["pid"], signal.SIGKILL)


def plant() -> None:
    original_init, original_close = context.Step.__init__, context.Step.close
    original_seal = Binding.seal

    def init(self: Any, services: Any, state: Any, thread: str, node: str) -> None:
        original_init(self, services, state, thread, node)
        self._binding.node = node
        kill(node, "entered")

    async def close(self: Any, update: Any) -> Any:
        kill(self.node, "worked")
        return await original_close(self, update)

    async def seal(self: Any) -> Any:
        ref = await original_seal(self)
        kill(self.node, "sealed")
        return ref

    context.Step.__init__ = init  # type: ignore[method-assign]
    context.Step.close = close  # type: ignore[method-assign]
    Binding.seal = seal  # type: ignore[method-assign]


plant()
sys.argv = ["sentient", *sys.argv[sys.argv.index("--") + 1 :]]
from sentient.cli import main  # noqa: E402 -- only after the kill points are planted

main()
