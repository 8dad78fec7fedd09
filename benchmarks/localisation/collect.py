"""Collects historical fixes from bare git mirrors: what was fixed, where, and by which tests.

    python -m benchmarks.localisation.collect MIRRORS > benchmarks/localisation/fixes.jsonl

MIRRORS holds a folder `owner+name/repo` for each repository. A fix is a commit whose title says so,
that changes one or two source files and at least one test file. They are spread evenly over the
history, so which are taken depends on nothing but the mirror.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tools.analysis.paths import is_test
from tools.inside.languages import language_of

PER_REPOSITORY = 6
COMMITS = 12_000
FIX = re.compile(r"\b(fix(es|ed)?|bug|wrong|incorrect(ly)?|crash(es)?|regression|broken)\b", re.I)
OTHER = re.compile(
    r"\b(typos?|docs?|docstrings?|documentation|ci|lint|flake8|ruff|mypy|pylint|pyright|release|bump"
    r"|merge|revert|tests?|doctests?|deprecat\w+|changelog|comments?|build|typing|flaky|benchmark)\b",
    re.I,
)
NAMES_A_FILE = re.compile(r"[\w-]+\.(py|js|tsx?|go|rs|java|c|cc|h)\b|\w+/\w+")
NOISE = re.compile(
    r"\s*\((#\d+|GH-\d+)\)|^\[[^\]]*\]\s*|\s*#\d+\s*$|^(Fix(es|ed)?|Close[sd]?) #\d+\W*"
)
FUNCTION = re.compile(
    r"^[+ ]\s*(?:async )?(?:def (test\w*)|func (Test\w*)|fn (\w+)|"
    r"(?:it|test)\(\s*[\"'](.{3,80}?)[\"'])"
    r"|^\+\s*(?:public )?void (\w+)\("
)


def git(mirror: Path, *args: str) -> str:
    """What a git command prints."""
    command = ["git", "-C", str(mirror), *args]
    return subprocess.run(command, capture_output=True, check=True).stdout.decode(
        "utf-8", "replace"
    )


def candidates(mirror: Path) -> Iterator[dict[str, object]]:
    """The fixes in a mirror, newest first."""
    log = git(
        mirror, "log", "HEAD", "--no-merges", f"-n{COMMITS}", "--name-status", "--no-renames",
        "--format=%x01%H%x00%P%x00%s",
    )  # fmt: skip
    for entry in log.split("\x01")[1:]:
        head, _, body = entry.partition("\n")
        commit, parent, title = head.split("\0", 2)
        title = NOISE.sub("", title).strip()
        if not FIX.search(title) or OTHER.search(title) or NAMES_A_FILE.search(title):
            continue
        changes = [line.split("\t") for line in body.splitlines() if "\t" in line]
        code = [(status, path) for status, path in changes if language_of(path)]
        tests = [path for _, path in code if is_test(path)]
        fixed = [path for status, path in code if status == "M" and not is_test(path)]
        others = [path for status, path in code if status != "M" and not is_test(path)]
        if others or not tests or not 1 <= len(fixed) <= 2 or len(title.split()) < 4:
            continue
        if len(changes) <= 12:
            yield {
                "base": parent.split()[0], "fix": commit, "title": title,
                "files": fixed, "tests": tests,
            }  # fmt: skip


def failing_tests(mirror: Path, fix: dict[str, object]) -> dict[str, list[str]]:
    """Names of the test functions that the fix added or changed, by file."""
    found: dict[str, list[str]] = {}
    for path in fix["tests"][:4]:  # type: ignore[index]
        diff = git(
            mirror, "diff", "--function-context", str(fix["base"]), str(fix["fix"]), "--", path
        )
        names = list(_changed(diff))
        found[path] = names[:5]
    return found


def _changed(diff: str) -> Iterator[str]:
    name, seen = "", set()
    for line in diff.splitlines():
        match = FUNCTION.match(line)
        if match:
            name = next(filter(None, match.groups()))
        if line.startswith("+") and not line.startswith("+++") and name and name not in seen:
            seen.add(name)
            yield name


def main() -> None:
    """Write one JSON line a fix."""
    for mirror in sorted(Path(sys.argv[1]).glob("*/repo")):
        found = list(candidates(mirror))
        step = max(1, len(found) // PER_REPOSITORY)
        for fix in found[::step][:PER_REPOSITORY]:
            fix["tests"] = failing_tests(mirror, fix)
            name = mirror.parent.name.replace("+", "/")
            line = {"repository": name, "source": f"https://github.com/{name}/commit/{fix['fix']}"}
            sys.stdout.write(json.dumps(line | fix) + "\n")


if __name__ == "__main__":
    main()
