"""A desktop's view of the engine: the folder copied under its own name and run as a program."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

PROJECT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Run:
    """What one run of the engine left behind."""

    result: dict[str, Any]
    events: list[dict[str, Any]]
    root: Path

    @property
    def edits(self) -> list[tuple[str, str, str]]:
        """Path, old and new text of every edit."""
        return [
            (edit["path"], edit["old"].strip(), edit["new"].strip())
            for fix in self.result["fixes"]
            for edit in fix["edits"]
        ]

    def repaired(self) -> dict[str, str]:
        """Apply the edits, in order, as a coder's tool would."""
        texts: dict[str, str] = {}
        for fix in self.result["fixes"]:
            for edit in fix["edits"]:
                path = edit["path"]
                text = texts.setdefault(path, (self.root / path).read_text())
                assert text.count(edit["old"]) == 1
                texts[path] = text.replace(edit["old"], edit["new"])
        return texts


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that holds the engine as the package `sentient_repair`."""
    folder = tmp_path_factory.mktemp("engine")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PROJECT / "tools" / "repair", folder / "sentient_repair", ignore=ignored)
    return folder


@pytest.fixture
def run_engine(package: Path, tmp_path: Path) -> Callable[..., Run]:
    """Return a function that runs the engine on a folder."""

    def run(root: Path, *arguments: str, pytest_arguments: tuple[str, ...] = ()) -> Run:
        out = tmp_path / "result.json"
        command = [sys.executable, "-m", "sentient_repair", "--root", str(root), "--out", str(out)]
        ended = subprocess.run(
            [*command, *arguments, "--", *pytest_arguments],
            cwd=package,
            env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        events = [json.loads(line) for line in ended.stdout.splitlines()]
        return Run(json.loads(out.read_text()), events, root)

    return run


@pytest.fixture
def repair(run_engine: Callable[..., Run], tmp_path: Path) -> Callable[..., Run]:
    """Return a function that writes a repository and runs the engine on it."""

    def run(files: Mapping[str, str], *arguments: str) -> Run:
        root = tmp_path / "repository"
        for name, text in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text).lstrip("\n"))
        before = snapshot(root)
        ended = run_engine(root, *arguments)
        assert snapshot(root) == before, "the repository was touched"
        return ended

    return run


def snapshot(root: Path) -> dict[str, bytes]:
    """Return every file of a folder with its content."""
    files = (path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in files}
