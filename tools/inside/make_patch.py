"""Writes the difference between the working tree and a commit to a file (run inside the desktop).

    python make_patch.py '{"repo": …, "base": …, "out": …, "apply": … or "", "remove": […],
        "since": … or "", "reverse": …}'

Without `apply` the difference is all changes, untracked files included; with it, that patch,
applied here. With `since`, a patch to the base as well, it starts from what that one makes; with
`reverse` it leads back to its start. `<out>.patch` gets a binary-safe diff, `<out>.json` what
changed: [{path, status, added, removed}]. Last, the files in `remove` are removed from the working
tree.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

BACK = ["-R", "--src-prefix=b/", "--dst-prefix=a/"]
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


def changed_files(repo, how):
    status = git(repo, "diff", "--name-status", "-z", *how).decode("utf-8", "replace")
    letters = dict(zip(status.split("\0")[1::2], status.split("\0")[0::2], strict=False))
    numbers = git(repo, "diff", "--numstat", "-z", *how).decode("utf-8", "replace")
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


def patched_tree(repo, base, patch):
    """The tree of the base with a patch, made beside the working tree and its index."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GIT_INDEX_FILE"] = f"{folder}/index"
        git(repo, "read-tree", base)
        git(repo, "apply", "--cached", "--binary", "--whitespace=nowarn", patch)
        tree = git(repo, "write-tree").decode().strip()
        del os.environ["GIT_INDEX_FILE"]
    return tree


def main():
    options = json.loads(sys.argv[1])
    repo, base, out = options["repo"], options["base"], options["out"]
    if options["since"]:
        base = patched_tree(repo, base, options["since"])
    if options["apply"]:
        git(repo, "status", "--porcelain")  # a forked desktop's files are new to the index
        git(repo, "apply", "--index", "--binary", "--whitespace=nowarn", options["apply"])
    else:
        git(repo, "add", "--all")
    for path in options["remove"]:
        remove(repo, path)
    how = [*PLAIN, *(BACK if options["reverse"] else []), base]
    git(repo, "diff", "--binary", "--full-index", f"--output={out}.patch", *how)
    Path(f"{out}.json").write_text(json.dumps(changed_files(repo, how)))


if __name__ == "__main__":
    main()
