"""What a coder may not change: tests, their configuration, and what steers a test run."""

from fnmatch import fnmatch
from pathlib import PurePosixPath

from tools.patch import ChangedFile

PROTECTED_GLOBS = (
    "test/*", "tests/*", "*/test/*", "*/tests/*", "test_*.py", "*/test_*.py", "*_test.py",
)  # fmt: skip
"""Test code, as patterns on repository paths (`*` matches `/` too)."""

CONFIGURATION = frozenset(
    {
        "conftest.py", "pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml", "tox.ini",
        "setup.cfg", "pyproject.toml", "sitecustomize.py", "usercustomize.py", ".coveragerc",
        ".gitattributes",
    }
)  # fmt: skip
"""Files that change how tests are found, run or counted, in whatever folder they are."""


def is_test_code(path: str) -> bool:
    """Whether a path belongs to the tests."""
    return any(fnmatch(path, pattern) for pattern in PROTECTED_GLOBS)


def is_configuration(path: str) -> bool:
    """Whether a path steers the test run: conftest, configuration, start-up hooks."""
    name = PurePosixPath(path).name
    return name in CONFIGURATION or name.endswith(".pth") or path.startswith(".github/")


def is_protected(path: str) -> bool:
    """Whether the verdict takes this file from the base, whatever the coder did to it."""
    return is_test_code(path) or is_configuration(path)


def violations(files: list[ChangedFile]) -> list[str]:
    """Say, a line each, which protected files a patch touches; new test files are welcome."""
    verbs = {"A": "adds", "M": "changes", "D": "deletes"}
    return [
        f"{verbs.get(file.status, 'changes')} the protected file {file.path}"
        for file in files
        if is_configuration(file.path) or (is_test_code(file.path) and file.status != "A")
    ]
