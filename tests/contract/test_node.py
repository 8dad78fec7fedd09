"""Contract: the official JavaScript SDKs, checked by Node's own test runner in node/."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent / "node"


@pytest.mark.long
def test_official_javascript_sdks_keep_the_contract(options: dict[str, Any]) -> None:
    env = os.environ | {f"CONTRACT_{name.upper()}": str(value) for name, value in options.items()}
    for command in (["npm", "ci", "--silent", "--no-audit", "--no-fund"], ["node", "--test"]):
        done = subprocess.run(
            command, cwd=FOLDER, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert "# fail 0" in done.stdout
