"""Clean runs: plain pytest in a new process on a scratch copy of the repository on disk."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from .items import Status

_NOT_COPIED = shutil.ignore_patterns(
    ".git", ".hg", "__pycache__", ".venv", "venv", "node_modules", ".tox", ".nox", ".*_cache"
)
_START_LIMIT_S = 30.0
"""Wall seconds allowed for importing and collecting."""
_MAX_DEATHS = 6
_POLL_S = 0.02


def import_path(root: Path) -> list[str]:
    """Return what a repository adds to `sys.path`, as an editable install of it would."""
    return [str(path) for path in (root / "src", root) if path.is_dir()]


class ScratchCopy:
    """A copy of the repository to run edited code in; the repository itself stays as it is."""

    def __init__(
        self, root: Path, folder: Path, arguments: Sequence[str], test_limit_s: float
    ) -> None:
        self._origin = root
        self._root = folder / root.name
        self._folder = folder
        self._arguments = [a.replace(str(root), str(self._root)) for a in arguments]
        self._test_limit_s = test_limit_s
        self._edited: set[str] = set()
        shutil.copytree(root, self._root, ignore=_NOT_COPIED, symlinks=True)

    def run(
        self, edited: Mapping[str, str], deadline: float, only: Collection[str] = ()
    ) -> dict[str, Status]:
        """Run tests with some files' texts replaced.

        Args:
            edited: new texts by path relative to the root; all other files are as in the original.
            deadline: when to stop, on the monotonic clock; tests not reached are left out.
            only: node ids to run; everything when empty.
        """
        self._write(edited)
        outcomes: dict[str, Status] = {}
        for _ in range(_MAX_DEATHS):
            left_off = self._run_until_death(outcomes, only, deadline)
            if left_off is None or time.monotonic() > deadline:
                break
            outcomes[left_off] = Status.DIED
        return outcomes

    def _write(self, edited: Mapping[str, str]) -> None:
        for path in self._edited - set(edited):
            shutil.copyfile(self._origin / path, self._root / path)
        for path, text in edited.items():
            (self._root / path).write_text(text, encoding="utf-8", newline="")
        self._edited = set(edited)

    def _run_until_death(
        self, outcomes: dict[str, Status], only: Collection[str], deadline: float
    ) -> str | None:
        """Run the tests not in `outcomes`; return the one during which the process ended."""
        request, out = self._folder / "request.json", self._folder / "outcomes.jsonl"
        asked = {
            "out": str(out),
            "skip": sorted(outcomes),
            "only": sorted(only),
            "arguments": self._arguments,
        }
        request.write_text(json.dumps(asked), encoding="utf-8")
        out.write_text("", encoding="utf-8")
        process = self._start(request)
        size, heard, limit = 0, time.monotonic(), _START_LIMIT_S
        try:
            while process.poll() is None:
                time.sleep(_POLL_S)
                now = time.monotonic()
                if out.stat().st_size != size:
                    size, heard, limit = out.stat().st_size, now, self._test_limit_s
                if now - heard > limit or now > deadline:
                    break
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        started = None
        for line in out.read_text(encoding="utf-8").splitlines():
            with suppress(json.JSONDecodeError):
                name, status = json.loads(line)
                started = name if status is None else None
                if status is not None:
                    outcomes[name] = Status(status)
        return started

    def _start(self, request: Path) -> "subprocess.Popen[bytes]":
        package = Path(__file__).resolve().parent
        inherited = os.environ.get("PYTHONPATH", "")
        paths = [*import_path(self._root), str(package.parent), inherited]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
        return subprocess.Popen(
            [sys.executable, "-P", "-m", f"{package.name}.recorder", str(request)],
            cwd=self._root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
