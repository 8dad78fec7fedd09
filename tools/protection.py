"""What a coder may not change: tests, their configuration, and what steers a test run."""

import re
import sys
from collections.abc import Iterable, Sequence
from fnmatch import fnmatch
from pathlib import PurePosixPath

from tools.patch import ChangedFile

PROTECTED_GLOBS = (
    "test/*", "tests/*", "testing/*", "*/test/*", "*/tests/*", "*/testing/*",
    "test_*.py", "*/test_*.py", "*_test.py", "tests.py", "*/tests.py", "test.py", "*/test.py",
    "__tests__/*", "*/__tests__/*", "*.test.[cmjt]*", "*.spec.[cmjt]*",
    "*[-_]test.[cmjt]*", "test.[cmjt]*s", "*/test.[cmjt]*s", "test-*.[cmjt]*s", "*/test-*.[cmjt]*s",
)  # fmt: skip
"""Test code, as patterns on repository paths (`*` matches `/` too): Python's, then Node's."""

CONFIGURATION = frozenset(
    {
        "pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml", "tox.ini",
        "setup.cfg", "pyproject.toml", ".coveragerc", ".gitattributes", ".gitmodules",
        ".npmrc", "node.config.json", ".babelrc", ".swcrc",
    }
)  # fmt: skip
"""Files that change how tests are found, run or counted, in whatever folder they are."""

NODE_CONFIGURATION = re.compile(
    r"(vite|vitest|jest|babel)\b.*\.?(config|workspace|projects|setup|preset)\b.*"
    r"|setup-?tests?\..*|\.babelrc\..*|.*\.snap",
    re.IGNORECASE,
)
"""The same of vitest and jest, with what they compile with and compare with."""

HOOKS = frozenset({"conftest", "sitecustomize", "usercustomize"})
"""Modules or packages that Python or pytest import by themselves, by any part of a path."""

NODE_FOLDERS = frozenset({"node_modules", "__mocks__", "__snapshots__"})
"""Folders whose files take the place of others, or say what is expected."""

TEST_MACHINERY = frozenset(
    {
        "pytest", "_pytest", "pluggy", "iniconfig", "coverage", "pytest_timeout",
        "sentient_report", "sentient_reporting", "sentient_reach",
    }
)  # fmt: skip
"""Top-level modules of the test run; a new file of such a name would take their place."""


def is_test_code(path: str) -> bool:
    """Whether a path belongs to the tests."""
    return any(fnmatch(path, pattern) for pattern in PROTECTED_GLOBS)


def is_configuration(path: str) -> bool:
    """Whether a path steers the test run: hooks, configuration, plugins, look-alike modules."""
    pure = PurePosixPath(path)
    parts = pure.parts[1:] if pure.parts[0] == "src" else pure.parts
    top = parts[0].split(".")[0] if parts else ""
    return (
        pure.name in CONFIGURATION
        or NODE_CONFIGURATION.fullmatch(pure.name) is not None
        or any(part.split(".")[0] in HOOKS for part in pure.parts)
        or any(part.endswith((".dist-info", ".egg-info", ".pth")) for part in pure.parts)
        or path.startswith(".github/")
        or not NODE_FOLDERS.isdisjoint(pure.parts)
        or top in TEST_MACHINERY
    )


def is_protected(path: str) -> bool:
    """Whether the verdict takes this file from the base, whatever the coder did to it."""
    return is_test_code(path) or is_configuration(path)


def covers(pattern: str, path: str) -> bool:
    """Whether a path is what a pattern names: a file, something in a folder, or what it matches."""
    return fnmatch(path, pattern) or path.startswith(f"{pattern}/")


def violations(
    files: Iterable[ChangedFile], collected: Iterable[str] = (), planned: Sequence[str] = ()
) -> list[str]:
    """Say, a line each, which protected files a patch touches; new test files are welcome.

    `collected` are test ids or files of the base, which are protected by any name.
    `planned` are the files, folders and patterns that the plan protects.
    """
    verbs = {"A": "adds", "M": "changes", "D": "deletes"}
    in_use = {test.split("::", 1)[0] for test in collected}
    files = list(files)
    by_plan = [
        f"{verbs.get(file.status, 'changes')} {file.path}, which the plan protects"
        for file in files
        if any(covers(pattern, file.path) for pattern in planned)
    ]
    return by_plan + [
        f"{verbs.get(file.status, 'changes')} the protected file {file.path}"
        for file in files
        if is_configuration(file.path)
        or file.path in in_use
        or (is_test_code(file.path) and file.status != "A")
        or (file.status == "A" and _shadows_standard_library(file.path))
    ]


def _shadows_standard_library(path: str) -> bool:
    parts = PurePosixPath(path).parts
    parts = parts[1:] if parts[0] == "src" else parts
    top = parts[0].split(".")[0] if parts else ""
    is_module = path.endswith(".py") and top in sys.stdlib_module_names
    return is_module and top not in ("test", "tests")
