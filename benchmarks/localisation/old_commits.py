"""Old commits as they can be run today: a Python and packages of their time, no rights, no network.

Needs root on Linux. In place of what a build would make there is what the released package has.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from benchmarks.localisation.collect import git

PACKAGES: Mapping[str, str] = json.loads(Path(__file__).with_name("packages.json").read_text())
"""What tests of each repository need beside the package itself."""

PYTHON_SINCE = {2025: "3.12", 2023: "3.11", 2021: "3.9", 2020: "3.8", 2018: "3.7", 0: "3.6"}
EARLIEST = date(2018, 10, 1)
"""Packages are of that day at least: older ones are no wheels of these Pythons."""

GUEST = 50_000
ROOTS = ("hypothesis", "hypothesis-python")
"""Folders of a repository that are its package's, where there is one."""

MADE = re.compile(r"\.so$|version|_compiler|_config")
"""Files that a build makes."""

PURE = ("mypy", "black", "pydantic")
"""Packages whose compiled modules would take the place of their sources."""


class OldCommit:
    """The base of a fix with the fix's tests, in a tree of its own."""

    def __init__(self, fix: dict[str, Any], mirror: Path, pythons: Path, work: Path) -> None:
        self.fix, self.mirror, self.work = fix, mirror, work
        self.name = fix["repository"].partition("/")[2]
        self.tree, self.env, self.root = work / "tree", work / "env", work / "tree"
        shutil.rmtree(self.env, ignore_errors=True)
        for folder in (work / "home", work / "cache", work / "out"):
            folder.mkdir(exist_ok=True)
            os.chown(folder, GUEST, GUEST)
        self.day = date.fromisoformat(git(mirror, "log", "-1", "--format=%cs", fix["fix"]).strip())
        version = next(v for year, v in PYTHON_SINCE.items() if self.day.year >= year)
        self.python = next(pythons.glob(f"{version}.*/bin/python3"))
        self.libraries = ":".join(str(path) for path in pythons.glob("*/lib"))

    def guest(self, *command: str, seconds: int, told: str = "", net: bool = False) -> int:
        """Run a command without rights, and unless it fetches packages without a network.

        What it leaves running ends with it.
        """
        user = ["setpriv", f"--reuid={GUEST}", f"--regid={GUEST}", "--clear-groups"]
        apart = ["unshare", "-n", "-p", "-f", "--mount-proc", "--kill-child"]
        alone = [*apart, "sh", "-c", 'ip link set lo up; exec "$@"', "_"]
        paths = [self.root / "src", self.root, self.work / "plugin"] if told else []
        env = {
            **{name: text for name, text in os.environ.items() if name.startswith(("UV_", "SSL"))},
            "HOME": str(self.work / "home"), "UV_CACHE_DIR": str(self.work / "cache"),
            "PATH": os.environ["PATH"], "LD_LIBRARY_PATH": self.libraries, "TRACED": told,
            "PYTHONPATH": ":".join(map(str, paths)), "MPLBACKEND": "agg", "OMP_NUM_THREADS": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }  # fmt: skip
        limit = ["timeout", "-k1", str(seconds)]
        whole = [*([] if net else alone), *user, "--no-new-privs", *limit, *command]
        where = self.root if told else self.work
        ended = subprocess.run(whole, cwd=where, env=env, capture_output=True, check=False)
        return ended.returncode

    def check_out(self, *, fixed: bool) -> None:
        """A new tree of the fix, unless `fixed` with its product code as it was."""
        self._empty(self.tree)
        index = {**os.environ, "GIT_INDEX_FILE": str(self.work / "index")}
        mirror = ["git", "-C", str(self.mirror), f"--work-tree={self.tree}"]
        subprocess.run([*mirror, "read-tree", self.fix["fix"]], env=index, check=True)
        subprocess.run([*mirror, "checkout-index", "-qaf"], env=index, check=True)
        for path in [] if fixed else self.fix["files"]:
            show = ["git", "-C", str(self.mirror), "show", f"{self.fix['base']}:{path}"]
            data = subprocess.run(show, capture_output=True, check=True).stdout
            (self.tree / path).write_bytes(data)
        subprocess.run(["chown", "-Rh", f"{GUEST}:{GUEST}", str(self.tree)], check=True)
        inner = (self.tree / name for name in ROOTS)
        self.root = next((path for path in inner if (path / "src").is_dir()), self.tree)
        if self.env.exists():
            self._add_made()

    def install(self) -> None:
        """The released package of that time with what it needs, and what its tests need."""
        self._empty(self.env)
        newest = max(self.day, EARLIEST) + timedelta(days=20)
        python = ["--python", str(self.python)]
        self.guest("uv", "venv", "-q", "--clear", *python, str(self.env), seconds=60, net=True)
        pip = ["uv", "pip", "install", "-q", "--python", f"{self.env}/bin/python"]
        pip += [f"--exclude-newer={newest}", "--exclude-newer-package=setuptools=2026-11-01"]
        pip += ["--exclude-newer-package=atomicwrites=2026-11-01"]
        self.guest(*pip, "pytest>=3.6", "setuptools<70", self.name, seconds=200, net=True)
        wanted = PACKAGES[self.name].split()
        if self.guest(*pip, *wanted, seconds=150, net=True):
            for package in wanted:
                self.guest(*pip, package, seconds=60, net=True)
        self._add_made()

    def _empty(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        os.chown(folder, GUEST, GUEST)

    def _add_made(self) -> None:
        """Copy what a build would make, as the user that may have made links of it."""
        for site in self.env.glob("lib/python*/site-packages"):
            for made in [*site.glob(f"{self.name}/**/*"), *site.glob("_pytest/*")]:
                wanted = MADE.search(made.name) and not (made.suffix == ".so" and self.name in PURE)
                for home in (self.root, self.root / "src"):
                    target = home / made.relative_to(site)
                    if wanted and target.parent.is_dir():
                        self.guest("cp", "-n", str(made), str(target), seconds=5)
