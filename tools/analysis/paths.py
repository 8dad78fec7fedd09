"""What a path alone says about a file."""

import re
from pathlib import PurePosixPath

TEST_FOLDERS = frozenset(
    {"test", "tests", "testing", "__tests__", "spec", "specs", "testdata", "testfixtures", "e2e"}
)
TEST_NAME = re.compile(
    r"^test_|^tests?\.|_tests?\.|^conftest\.py$|\.(test|spec|cy)\.|_spec\.|Tests?\.(java|kt)$"
    r"|^Test[A-Z]\w*\.java$|IT\.java$|-tests?\."
)
ASIDE_FOLDERS = frozenset(
    {
        "example", "examples", "doc", "docs", "benchmark", "benchmarks", "bench", "asv_bench",
        "vendor", "third_party", "thirdparty", "node_modules", "extern", "external", "deps",
        "fixtures", "snapshots", "demo", "demos", "playground", "scripts", "tutorials", "dist",
    }
)  # fmt: skip


def is_test(path: str) -> bool:
    """Whether a file belongs to tests, by the conventions of its language."""
    *folders, name = path.split("/")
    return bool(TEST_NAME.search(name)) or not TEST_FOLDERS.isdisjoint(map(str.lower, folders))


def is_aside(path: str) -> bool:
    """Whether a file is seldom what a task means: examples, documentation, vendored code."""
    return not ASIDE_FOLDERS.isdisjoint(map(str.lower, PurePosixPath(path).parent.parts))
