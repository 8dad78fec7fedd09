"""Makes an empty Python environment beside the repository, and reads the repository's manifests.

    python make_environment.py '{"env": …, "repo": …, "out": …, "names": "regex"}'

The environment has the desktop's own interpreter, and finds the desktop's own packages (pytest)
after its own. The manifests go to `out` as JSON, {path: text}, with the interpreter's version.
"""

import json
import os
import platform
import re
import shutil
import site
import sys
from pathlib import Path

FILE_LIMIT = 16 << 20
FILES = 60


def make_environment(env):
    """What `python -m venv` makes, but over a prefix of its own, so that more can be made of it.

    The binary is a copy of the one that runs here, which finds its libraries wherever it lies.
    """
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = env / "lib" / version / "site-packages"
    packages.mkdir(parents=True, exist_ok=True)
    base = env / "base"
    (base / "bin").mkdir(parents=True, exist_ok=True)
    (env / "bin").mkdir(exist_ok=True)
    shutil.copy2(os.path.realpath(sys.executable), base / "bin" / version)
    link(base / "lib", f"{sys.base_prefix}/lib")
    link(base / "include", f"{sys.base_prefix}/include")
    link(env / "bin" / version, base / "bin" / version)
    for name in ("python", "python3"):
        link(env / "bin" / name, version)
    home = f"home = {base}/bin\ninclude-system-site-packages = false\n"
    (env / "pyvenv.cfg").write_text(f"{home}version = {platform.python_version()}\n")
    lines = [f"import site; site.addsitedir({folder!r})\n" for folder in site.getsitepackages()]
    (packages / "zz_desktop.pth").write_text("".join(lines))


def link(path, target):
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def manifests(repo, names):
    found = {}
    for folder in ("", "requirements", "test", "tests"):
        place = repo / folder
        for path in sorted(place.iterdir()) if place.is_dir() else []:
            name = str(path.relative_to(repo))
            small = path.is_file() and path.stat().st_size <= FILE_LIMIT
            if small and re.fullmatch(names, name) and len(found) < FILES:
                found[name] = path.read_text("utf-8", "replace")
    return found


def main():
    options = json.loads(sys.argv[1])
    make_environment(Path(options["env"]))
    found = {
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "machine": platform.machine(),
        "manifests": manifests(Path(options["repo"]), options["names"]),
    }
    Path(options["out"]).write_text(json.dumps(found), "utf-8")


if __name__ == "__main__":
    main()
