"""Writes the difference between the working tree and a commit to a file (run inside the desktop).

    python make_patch.py '{"repo": …, "base": …, "out": …, "apply": … or "", "remove": […]}'

With `apply` the difference is that patch, applied here; without, all changes, untracked files
included. `<out>.patch` gets a binary-safe diff, `<out>.json` what changed: [{path, status, added,
removed}]. Last, the files in `remove` are removed from the working tree.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

PLAIN = ["--no-ext-diff", "--no-textconv", "--no-renames", "--cached"]


def git(repo, *args):
    command = ["/usr/bin/env", "git", "-c", "core.quotePath=false", "-c", "core.fsmonitor=false"]
    command += ["-c", "core.hooksPath=/dev/null", "-c", "diff.noprefix=false"]
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(
        [*command, *args], cwd=repo, env=environment, capture_output=True, check=False
    )
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        sys.exit(f"git {args[0]}: {lines[-1] if lines else done.returncode}")
    return done.stdout


def changed_files(repo, base):
    status = git(repo, "diff", "--name-status", "-z", *PLAIN, base).decode("utf-8", "replace")
    letters = dict(zip(status.split("\0")[1::2], status.split("\0")[0::2], strict=False))
    numbers = git(repo, "diff", "--numstat", "-z", *PLAIN, base).decode("utf-8", "replace")
    files = []
    for line in filter(None, numbers.split("\0")):
        added, removed, path = line.split("\t", 2)
        counts = {"added": int(added.strip("-") or 0), "removed": int(removed.strip("-") or 0)}
        files.append({"path": path, "status": letters[path][:1], **counts})
    return files


def remove(repo, path):
    target = Path(repo, path)
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    else:
        target.unlink(missing_ok=True)


def main():
    options = json.loads(sys.argv[1])
    repo, base, out = options["repo"], options["base"], options["out"]
    if options["apply"]:
        git(repo, "status", "--porcelain")  # a forked desktop's files are new to the index
        git(repo, "apply", "--index", "--binary", "--whitespace=nowarn", options["apply"])
    else:
        git(repo, "add", "--all")
    for path in options["remove"]:
        remove(repo, path)
    git(repo, "diff", "--binary", "--full-index", f"--output={out}.patch", *PLAIN, base)
    Path(f"{out}.json").write_text(json.dumps(changed_files(repo, base)))


if __name__ == "__main__":
    main()
