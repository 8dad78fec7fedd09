"""Gates that read added lines as text, in whatever language they are."""

import re
from collections.abc import Iterator

from nodes.gates.patch_text import Review
from tools.environment.plan import MANIFEST

TEST_AWARE = re.compile(
    r"PYTEST_|SENTIENT_|\.sentient\b|\bpytest\b|\b_pytest\b|\bunittest\b|\bsys\.modules\b"
    r"|\binspect\.(stack|currentframe|getsource|getouterframes)|\bsys\._(getframe|current_frames)"
    r"|\btraceback\.(extract_stack|walk_stack|format_stack)|\bgettrace\b|\blinecache\b"
    r"|\bf_(code|back|locals|globals)\b|\bco_name\b|\btb_frame\b|\bimport gc\b|\bgc\.get_"
    r"|\bctypes\b"
    r"|\bbuiltins\b|__builtins__|\bsys\.(settrace|setprofile|addaudithook|meta_path|path_hooks)\b"
    r"|\bNODE_TEST\w*|\bnode:test\b|\bprocess\.(argv\[1\]|execArgv|binding|_\w+)|\bprepareStackTrace"
    r"|\bError\([^)]*\)\.stack|\bassert\.(strict\.)?\w+\s*=(?!=)|\bprocess\.stdout\.\w+\s*=(?!=)"
    r"|\bvitest\b|__vitest|\bVITEST\w*|\bJEST_\w+|@jest/|\bjest\.|[\"']jest[\"']|\bprocess\.send\b"
    r"|\bNODE_ENV\b.*\btest\b|\b(global|globalThis)(\.|\[[\"'])(expect|test|it|describe|jest)\b"
    r"|\bexpect\.(extend\b|\w+\s*=(?!=))|\.(test|spec)\.[cm]?[jt]sx?\b|\b__tests__\b"
    r"|/proc/|__import__\(|\bimport_module\((?![\"'][\w.]+[\"']\))|\.git/|\bgit (show|log|cat-file)"
)
"""What product code needs only to find out that it is being tested, or to change who tests it."""

TEST_FILES = re.compile(
    r"\btest_\*|\*_test\b|^(\.{0,2}/)*tests?/|\btest_\w+\.py\b|\w_test\.py\b|\bconftest\b"
)
"""Names of test files in a string of product code."""

HOOKING = re.compile(
    r"\bos\.(_exit|abort|kill|killpg|fork)\b|\batexit\b|\bfaulthandler\b"
    r"|\bprocess\.(reallyExit|abort|kill)\b"
)
"""What ends, hooks or multiplies the process; that is how a suite is made to look green."""

HIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Characters that make code look other than it is; a carriage return may end a line."""

CODING = re.compile(r"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
"""How a Python file names its encoding; only text that reads as it looks is let through."""

COMPILED = re.compile(r"(^|/)__pycache__/|\.(pyc|pyo|so|pyd|dll|dylib|zip|egg|whl|pth)$")
"""Files that Python runs, though nobody can read them."""

PROSE = (".md", ".rst", ".txt", ".lock")
"""Files for people, and lists of packages: no code that a program could run unseen."""

MODE = re.compile(r"^new (?:file )?mode (120000|160000)$")

SIZE_LIMIT = 2000
"""Added lines above which a patch is not reviewed any more."""


def size(review: Review) -> Iterator[str]:
    """A patch that nobody can read is not accepted."""
    count = sum(map(len, review.added.values()))
    if count > SIZE_LIMIT:
        yield f"the patch adds {count} lines, more than {SIZE_LIMIT}"


def changed_requirements(review: Review) -> Iterator[str]:
    """What is installed for the verdict is what the base asked for."""
    for path in sorted({path for path, _ in review.headers}):
        if MANIFEST.fullmatch(path):
            yield f"{path} is changed; the tests ran with what the base asks for"


def test_awareness(review: Review) -> Iterator[str]:
    """Product code may not look for the tests: by environment, stack, memory or name."""
    names = {target.split("::")[-1].split("[")[0] for target in review.targets}
    for path, lines in review.added.items():
        words = review.documentation(path)
        for number, line in lines.items():
            if path.endswith(PROSE) or (number in words and not HIDDEN.search(line)):
                continue
            if match := TEST_AWARE.search(line):
                yield f"{path} looks for the tests ({match.group()}): {line.strip()[:80]}"
            elif found := sorted(n for n in names if re.search(rf"\b{re.escape(n)}\b", line)):
                yield f"{path} names the test {found[0]}: {line.strip()[:80]}"


def early_exit(review: Review) -> Iterator[str]:
    """No added code may end or hook the process."""
    for path, line in _each(review):
        if HOOKING.search(line):
            yield f"{path} ends or hooks the process: {line.strip()[:80]}"


def hidden_characters(review: Review) -> Iterator[str]:
    """Added code must be what it looks like."""
    for path, line in _each(review):
        if HIDDEN.search(line):
            yield f"{path} holds invisible or control characters: {line.strip()[:80]!a}"
    for path, lines in review.added.items():
        for number in (1, 2):
            match = CODING.match(lines.get(number, ""))
            if match and match.group(1).lower() not in {"utf-8", "utf8", "ascii", "us-ascii"}:
                yield f"{path} is written in {match.group(1)}, in which code can look like comment"


def unreadable_files(review: Review) -> Iterator[str]:
    """No compiled code, no link, no repository in the repository, no Python that is none."""
    for path in review.unparsed:
        yield f"{path} cannot be read as Python"
    for path, header in review.headers:
        if match := MODE.match(header):
            what = "a symbolic link" if match.group(1) == "120000" else "a repository of its own"
            yield f"{path} becomes {what}"
        elif header.startswith("diff --git ") and COMPILED.search(path):
            yield f"{path} is code that cannot be read"


def _each(review: Review) -> Iterator[tuple[str, str]]:
    return ((path, line) for path, lines in review.added.items() for line in lines.values())
