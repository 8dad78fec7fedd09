"""Open ways to the internet on a machine whose program for them fails."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2b import AsyncSandbox

from sentient_desktop import Endpoint

FAILING = """#!/bin/sh
echo try >> {tries}
echo "no way today" >&2
exit 1
"""


@pytest.fixture
def failing() -> Iterator[Path]:
    """A program for uplinks that fails, where the host users of desktops may run it."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        tries, program = Path(name, "tries"), Path(name, "pasta")
        tries.touch()
        tries.chmod(0o666)
        program.write_text(FAILING.format(tries=tries))
        program.chmod(0o755)
        yield program


async def test_uplink_that_failed_for_one_desktop_is_tried_for_the_next(
    folder: Path, failing: Path, options_for: Any
) -> None:
    tries = failing.with_name("tries")
    argv = [sys.executable, "-P", "-m", "sentient_desktop", "serve", "--data-dir", str(folder)]
    environment = os.environ | {"PATH": f"{failing.parent}:{os.environ['PATH']}"}
    with subprocess.Popen(
        [*argv, "--open-egress", "--pool", "0"], stdout=subprocess.PIPE, text=True, env=environment
    ) as server:
        assert server.stdout is not None
        endpoint = json.loads(server.stdout.readline())
        options = options_for(Endpoint(endpoint["url"], endpoint["api_key"]))
        try:
            for number in range(2):
                desktop = await AsyncSandbox.create("base", allow_internet_access=True, **options)
                assert "proxy" in (await desktop.commands.run("env | grep -i proxy")).stdout.lower()
                assert tries.read_text().count("try") == number + 1
        finally:
            server.terminate()
