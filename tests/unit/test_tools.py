"""Pure parts of the tools: edits, paths, protection, arguments, text."""

import time

import pytest

from sentient.text import printable
from tools.check import in_words
from tools.desktop import Tail
from tools.edits import nearest, replaced
from tools.errors import ToolError, UsageError
from tools.files import inside
from tools.layout import REPO
from tools.patch import ChangedFile
from tools.protection import violations
from tools.results import Outcome, TestRun
from tools.runners import Runner, runner_of
from tools.sink import Sink
from tools.source import is_url, without_credentials


def test_replaced_unique_text_is_replaced() -> None:
    assert replaced("a\nb\nc\n", "f.py", "b\n", "B\n") == "a\nB\nc\n"


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("x = 1", "y", "occurs 2 times in f.py, from lines 2, 3"),
        ("", "y", "is empty"),
        ("def meen(values):", "y", "nearest, from line 1:\n1\tdef mean"),
        ("x = 1\nx = 1", "# ... rest unchanged", "placeholder"),
        ("x = 1", "x = 1", "are the same"),
    ],
    ids=["ambiguous", "empty", "missing", "placeholder", "same"],
)
def test_replaced_bad_edit_says_why(old: str, new: str, reason: str) -> None:
    with pytest.raises(ToolError, match=reason):
        replaced("def mean(values):\nx = 1\nx = 1\n", "f.py", old, new)


PROGRAM = """\
import os


def first(values):
    total = 0
    for value in values:
        total += value
    return total


def second(values):
    total = 1
    for value in values:
        total *= value
    return total
"""


@pytest.mark.parametrize(
    ("old", "hint"),
    [
        ("  total = 1\n  for value in values:\n    total *= value\n",
         "white space alone; nearest, from line 12:\n12\t    total = 1\n13\t    for value"),
        ("    for value in values:\n        total *= values\n    return total\n",
         "the file has 'total *= value' for 'total *= values'; nearest, from line 13:"),
        ("def secnd(valves):", "for 'def secnd(valves):'; nearest, from line 11:"),
        ("    return total\n\n\ndef third():\n", "for 'def third():'; nearest, from line 8:"),
        ("completely different text", "no lines are similar to it"),
        ("\n\n\n\n", "no lines are similar to it"),
    ],
    ids=["space", "word", "typo", "end", "nothing", "blank"],
)  # fmt: skip
def test_nearest_missing_text_names_lines_and_the_difference(old: str, hint: str) -> None:
    assert hint in nearest(PROGRAM, old)


def test_nearest_huge_texts_are_answered_within_seconds() -> None:
    begun = time.process_time()
    nearest("\n".join(f"line {n % 977} of text" for n in range(200_000)), "line x of text\n" * 9000)
    nearest("x\n" * 200_000, "x\n" * 200_000 + "y")
    assert time.process_time() - begun < 8


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x", "", ".git/config"])
def test_inside_path_outside_repository_is_refused(path: str) -> None:
    with pytest.raises(ToolError):
        inside(path)


def test_inside_full_path_of_repository_is_taken() -> None:
    assert inside(f"{REPO}/pkg/a.py") == inside("pkg/a.py") == f"{REPO}/pkg/a.py"


def test_violations_protected_changes_are_named() -> None:
    files = [
        ChangedFile(path="tests/test_a.py", status="M"),
        ChangedFile(path="tests/test_b.py", status="D"),
        ChangedFile(path="conftest.py", status="A"),
        ChangedFile(path="src/app.py", status="M"),
    ]
    assert violations(files) == [
        "changes the protected file tests/test_a.py",
        "deletes the protected file tests/test_b.py",
        "adds the protected file conftest.py",
    ]


@pytest.mark.parametrize(
    "path",
    [
        "pytest.py", "_pytest/__init__.py", "src/pluggy.py", "sentient_report.py", "random.py",
        "src/json/__init__.py", "sitecustomize/__init__.py", "usercustomize.py", "a/conftest.py",
        "speed-1.0.dist-info/entry_points.txt", "x.egg-info/entry_points.txt", "x.pth",
        "vite.config.mts", "a/vitest.workspace.json", "jest.config.js", "src/setupTests.ts",
        "jest-setup.js", ".babelrc.json", "src/__mocks__/fs.js", "src/__snapshots__/a.snap",
    ],
)  # fmt: skip
def test_violations_new_file_that_would_run_the_tests_is_refused(path: str) -> None:
    assert violations([ChangedFile(path=path, status="A")])


def test_violations_collected_file_of_any_name_is_protected() -> None:
    changed = [ChangedFile(path="checks/check_all.py", status="M")]
    assert violations(changed) == []
    assert violations(changed, ["checks/check_all.py::test_x"])


def test_violations_new_test_file_is_welcome() -> None:
    new = ["tests/test_new.py", "src/a.spec.ts", "src/vite.ts", "src/setup.js", "src/config.js"]
    assert violations([ChangedFile(path=path, status="A") for path in new]) == []


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("", Runner()),
        ("pytest -k 'a b'", Runner(args=("-k", "a b"))),
        ("python3 -m pytest tests", Runner(args=("tests",))),
        ("python -m unittest discover -s t", Runner("unittest", ("discover", "-s", "t"))),
        (
            "node --import ./x.mjs --test -r y a.js 'b/*.js'",
            Runner("node", ("--import", "./x.mjs", "-r", "y"), ("a.js", "b/*.js")),
        ),
        ("npx vitest run src --globals", Runner("vitest", ("src", "--globals"))),
        ("vitest", Runner("vitest")),
        ("vitest src -t same", Runner("vitest", ("src", "-t", "same"))),
        ("cross-env NODE_ENV=test jest -i", Runner("jest", ("-i",))),
        (
            "NODE_OPTIONS=--experimental-vm-modules npx jest a",
            Runner("jest", ("a",), ("--experimental-vm-modules",)),
        ),
        (
            "node --experimental-vm-modules node_modules/jest/bin/jest.js",
            Runner("jest", paths=("--experimental-vm-modules",)),
        ),
    ],
)
def test_runner_of_command_is_read(command: str, expected: Runner) -> None:
    assert runner_of(command) == expected


@pytest.mark.parametrize(
    "command",
    [
        "make test",
        "pytest 'unclosed",
        "tox",
        "npx mocha",
        "node a.js",
        "node --test --watch",
        "vitest watch",
        "vitest run --reporter=json",
        "jest --watchAll",
        "TZ=UTC jest",
        "jest && echo",
        "vitest bench",
    ],
)
def test_runner_of_other_command_is_refused(command: str) -> None:
    with pytest.raises(UsageError):
        runner_of(command)


@pytest.mark.parametrize(
    ("source", "expected"),
    [("https://h/x.git", True), ("git@h:x.git", True), ("./x", False), ("x.tar.gz", False)],
)
def test_is_url_sources_are_told_apart(source: str, expected: bool) -> None:
    assert is_url(source) is expected


def test_without_credentials_password_is_removed() -> None:
    assert without_credentials("https://me:secret@host/x.git") == "https://host/x.git"


def test_printable_terminal_escapes_are_dropped() -> None:
    hostile = "a\x1b]52;c;aGk=\x07b\x1b[2Jc\x1b[31md\x00e\x9bf\tg\nh"
    assert printable(hostile) == "abcdef\tg\nh"


def test_tail_long_output_keeps_both_ends() -> None:
    seen: list[str] = []
    tail = Tail(10, seen.append, Sink({}).stream())
    for _ in range(100):
        tail("abc")
    assert tail.text.startswith("abcab\n[... 290 characters left out ...]\n")
    assert tail.text.endswith("bcabc")
    assert "".join(seen) == "abc" * 100


def test_in_words_huge_run_is_bounded_and_counts_all() -> None:
    tests = [Outcome(id=f"t.py::test_{n}", outcome="failed", message="m" * 9999) for n in range(99)]
    told = in_words(TestRun(tests=[*tests, Outcome(id="t.py::ok", outcome="passed")], seconds=2))
    assert told.startswith("1 passed, 99 failed, in 2.0 s\nFAILED t.py::test_0\nmmm")
    assert told.endswith("FAILED t.py::test_49\nand 49 more")
    assert len(told) < 10_000
    assert in_words(TestRun(log="no such option")) == "none ran, in 0.0 s\nno such option"
