"""Unpacks an archive to a folder and commits it as one base commit (run inside the desktop).

    python unpack.py '{"archive": …, "repo": …, "made_by_us": …}'

The user's own `.git`, when it came along, is asked for its head and for uncommitted changes,
and then removed: work starts from a history of one commit, in which no fix can be looked up.
Prints {"base_commit", "tree", "files", "is_git", "head", "uncommitted"}.
"""

import json
import os
import shutil
import struct
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

IDENTITY = {
    "GIT_AUTHOR_NAME": "sentient", "GIT_AUTHOR_EMAIL": "sentient@localhost",
    "GIT_COMMITTER_NAME": "sentient", "GIT_COMMITTER_EMAIL": "sentient@localhost",
    "GIT_AUTHOR_DATE": "2000-01-01T00:00:00Z", "GIT_COMMITTER_DATE": "2000-01-01T00:00:00Z",
    "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null",
}  # fmt: skip

SETTINGS = [
    *("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"),
    # a snapshot flushes all files at once; an object at a time takes longer than all the rest
    *("-c", "core.fsync=none", "-c", "core.compression=1"),
    *("-c", "gc.auto=0", "-c", "maintenance.auto=false"),
]

HISTORY = Path.home() / ".sentient/history.json"
COMMITS = 2000
"""Past commits whose titles are kept."""

TRUSTED = {"filter": "fully_trusted"} if hasattr(tarfile, "fully_trusted_filter") else {}
"""Python before 3.11.4 has no extraction filters; `refuse_escapes` works on all."""

BYTES_AS_THEY_ARE = "* -text -filter -ident !eol !working-tree-encoding\n"
"""Git attributes that keep git from changing line ends or running filters."""


def git(repo, *args, check=True):
    command = ["git", *SETTINGS, *args]
    done = subprocess.run(
        command, cwd=repo, env={**os.environ, **IDENTITY}, capture_output=True, check=False
    )
    if check and done.returncode:
        sys.exit(f"git {args[0]}: {done.stderr.decode('utf-8', 'replace').strip()}")
    return done.stdout.decode("utf-8", "replace") if not done.returncode else ""


def refuse_escapes(members):
    """End with a reason if a member is a device or leads out of the folder by name or by link."""
    for member in members:
        places = [member.name]
        if member.issym():
            places.append(os.path.join(os.path.dirname(member.name), member.linkname))
        elif member.islnk():
            places.append(member.linkname)
        for place in places:
            if place.startswith("/") or os.path.normpath(place).split("/")[0] == "..":
                sys.exit(f"{member.name} leads out of the archive's folder")
        if member.isdev():
            sys.exit(f"{member.name} is a device")


def unpack(archive, target, made_by_us):
    """Extract; a foreign archive may hold no links that lead out of its folder."""
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as file:
                file.extractall(target)
        else:
            with tarfile.open(archive) as file:
                members = file.getmembers()
                if not made_by_us:
                    refuse_escapes(members)
                file.extractall(target, members, **TRUSTED)
    except (tarfile.TarError, zipfile.BadZipFile, OSError, EOFError) as error:
        sys.exit(f"{type(error).__name__}: {error}")


def join_parts(path):
    """Uploads come as `path.0000`, `path.0001`, …; make one file of them."""
    parts = sorted(Path(path).parent.glob(f"{Path(path).name}.[0-9]*"))
    with Path(path).open("wb") as whole:
        for part in parts:
            with part.open("rb") as stream:
                shutil.copyfileobj(stream, whole)
            part.unlink()
    return Path(path)


def lift_single_folder(repo):
    """Archives often hold everything in one folder; that folder is then the repository."""
    entries = list(repo.iterdir())
    if len(entries) == 1 and entries[0].is_dir() and entries[0].name not in (".git", "tests"):
        inner = repo.with_name("unpacked")
        entries[0].rename(inner)
        repo.rmdir()
        inner.rename(repo)


def ask_own_history(repo):
    facts = {"is_git": (repo / ".git").exists(), "head": "", "uncommitted": 0}
    if (repo / ".git").is_dir():
        facts["head"] = git(repo, "rev-parse", "--verify", "-q", "HEAD", check=False).strip()
        if facts["head"]:
            changes = git(repo, "status", "--porcelain", "-z", check=False)
            facts["uncommitted"] = sum(1 for line in changes.split("\0") if line[2:3] == " ")
            keep_titles(repo)
        shutil.rmtree(repo / ".git")
    elif facts["is_git"]:
        (repo / ".git").unlink()
    return facts


def keep_titles(repo):
    """Keep the titles of the last commits, and the files they changed; what they did is gone."""
    log = git(
        repo, "log", f"-n{COMMITS}", "--no-merges", "--no-renames", "--name-only",
        "--format=%x01%s", "-z", "HEAD", check=False,
    )  # fmt: skip
    commits = []
    for entry in log.split("\x01")[1:]:
        title, *files = entry.replace("\n", "\0").split("\0")
        commits.append([title[:300], [path for path in files if path][:50]])
    HISTORY.parent.mkdir(parents=True, exist_ok=True)
    HISTORY.write_text(json.dumps(commits), "utf-8")


def count_of_files(repo):
    """Entries of git's index, as its header has them."""
    with (repo / ".git/index").open("rb") as index:
        signature, _, count = struct.unpack(">4sII", index.read(12))
    return count if signature == b"DIRC" else 0


def main():
    options = json.loads(sys.argv[1])
    repo = Path(options["repo"])
    shutil.rmtree(repo, ignore_errors=True)
    repo.mkdir(parents=True)
    archive = join_parts(options["archive"])
    unpack(archive, repo, options["made_by_us"])
    archive.unlink()
    if not options["made_by_us"]:
        lift_single_folder(repo)
    facts = ask_own_history(repo)
    git(repo, "init", "--quiet", "--initial-branch=main")
    (repo / ".git/info/attributes").write_text(BYTES_AS_THEY_ARE)
    git(repo, "add", "--all")
    git(repo, "commit", "--quiet", "--allow-empty", "--no-verify", "--message=base")
    facts["base_commit"], facts["tree"] = git(repo, "rev-parse", "HEAD", "HEAD^{tree}").split()
    facts["files"] = count_of_files(repo)
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
