"""What overlayfs does otherwise than POSIX says, and desktops show: docs/durability.md tells it."""

from typing import Any

from e2b import Sandbox

RENAME = """
import os
try:
    os.rename("/workspace/a", "/workspace/b")
except OSError as error:
    print(error.strerror)
"""


def test_rename_between_two_names_of_a_file_from_a_layer_keeps_both(
    options: dict[str, Any],
) -> None:
    with Sandbox.create("base", timeout=300, **options) as first:
        first.files.write("/workspace/a", "text")
        snapshot = first.create_snapshot(mode="filesystem").snapshot_id
    try:
        with Sandbox.create(snapshot, timeout=300, **options) as desktop:
            desktop.commands.run("ln /workspace/a /workspace/b")
            desktop.files.write("/tmp/rename.py", RENAME)
            said = desktop.commands.run("python3 /tmp/rename.py").stdout.strip()
            assert said in ("", "Stale file handle")
            kept = desktop.commands.run("stat -c %h /workspace/a /workspace/b").stdout
            assert kept.split() == ["2", "2"]
            assert desktop.files.read("/workspace/b") == "text"
    finally:
        Sandbox.delete_snapshot(snapshot, **options)
