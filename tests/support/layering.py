"""Merging layers to the end, as the server does in the background."""

from collections.abc import Sequence
from pathlib import Path

from sentient_desktop.store.layers import LayerStore
from sentient_desktop.store.trees import run_tool


def merged(store: LayerStore, names: Sequence[str], *, bottom: bool = True) -> Path:
    """Merge layers into a new finished one."""
    name, unfinished, program = store.plan_merge(names, bottom=bottom)
    result = run_tool(program)
    assert result.returncode == 0, result.stderr
    store.finish(name, unfinished)
    return store.path(name)
