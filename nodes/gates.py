"""The reviewer's deterministic gates: small pure functions from a patch to findings."""

import re
from collections.abc import Callable, Iterator

from nodes.state import Finding
from tools.protection import is_test_code

TEST_AWARE = re.compile(
    r"PYTEST_|SENTIENT_|\.sentient\b|\bpytest\b|\b_pytest\b|\bunittest\b|\bsys\.modules\b"
    r"|\binspect\.(stack|currentframe)|\bsys\._getframe|\btraceback\.extract_stack|\bgettrace\b"
    r"|\bf_code\b|\bco_name\b|\bimport gc\b|\bgc\.get_|\bctypes\b|\bbuiltins\b|__builtins__"
    r"|/proc/|__import__\(|\bimport_module\((?![\"'][\w.]+[\"']\))"
)
"""What product code needs only to find out that it is being tested, or to change who tests it."""

HOOKING = re.compile(r"\bos\.(_exit|abort|kill|killpg|fork)\b|\batexit\b|\bfaulthandler\b")
"""What ends, hooks or multiplies the process; that is how a suite is made to look green."""

HIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Characters that make code look other than it is; a carriage return may end a line."""

SIZE_LIMIT = 2000
"""Added lines above which a patch is not reviewed any more."""

HUNK = re.compile(r"^@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")

Added = dict[str, list[str]]
Gate = Callable[[Added, list[str]], Iterator[str]]


def added_lines(patch: str) -> Added:
    """The lines that git's unified diff adds, by path; test code is left out.

    Hunks are read by their line counts, so no content can pass for a header.
    """
    found: Added = {}
    path, old, new = "", 0, 0
    for line in patch.split("\n"):
        if old > 0 or new > 0:
            if line.startswith("+"):
                if not is_test_code(path):
                    found.setdefault(path, []).append(line[1:].removesuffix("\r"))
                new -= 1
            elif not line.startswith("\\"):
                old -= 1
                new -= not line.startswith("-")
        elif match := HUNK.match(line):
            old, new = (int(count) if count else 1 for count in match.groups())
        elif line.startswith("+++ "):
            path = line[4:].removesuffix("\t").removeprefix("b/")
    return found


def size(added: Added, tests: list[str]) -> Iterator[str]:
    """A patch that nobody can read is not accepted."""
    count = sum(map(len, added.values()))
    if count > SIZE_LIMIT:
        yield f"the patch adds {count} lines, more than {SIZE_LIMIT}"


def test_awareness(added: Added, tests: list[str]) -> Iterator[str]:
    """Product code may not look for the tests: by environment, stack, memory or name."""
    names = {test.split("::")[-1].split("[")[0] for test in tests}
    for path, line in _each(added):
        if match := TEST_AWARE.search(line):
            yield f"{path} looks for the tests ({match.group()}): {line.strip()[:80]}"
        elif found := sorted(name for name in names if re.search(rf"\b{re.escape(name)}\b", line)):
            yield f"{path} names the test {found[0]}: {line.strip()[:80]}"


def early_exit(added: Added, tests: list[str]) -> Iterator[str]:
    """No added code may end or hook the process."""
    for path, line in _each(added):
        if HOOKING.search(line):
            yield f"{path} ends or hooks the process: {line.strip()[:80]}"


def hidden_characters(added: Added, tests: list[str]) -> Iterator[str]:
    """Added code must be what it looks like."""
    for path, line in _each(added):
        if HIDDEN.search(line):
            yield f"{path} holds invisible or control characters: {line.strip()[:80]!a}"


def equality_overrides(added: Added, tests: list[str]) -> Iterator[str]:
    """A comparison that does not look at both operands makes every assertion pass."""
    for path, lines in added.items():
        for number, line in enumerate(lines):
            if not re.search(r"__(eq|ne)__", line):
                continue
            match = re.match(r"(\s*)def __(?:eq|ne)__\(\s*(\w+)\s*,\s*(\w+)", line)
            if match is None or not _reads_both(lines[number + 1 :], *match.groups()):
                yield f"{path} overrides comparison: {line.strip()[:80]}"


def _reads_both(rest: list[str], indent: str, first: str, second: str) -> bool:
    body = []
    for line in rest:
        if line.strip() and not line.startswith(indent + " "):
            break
        body.append(line)
    text = "\n".join(body)
    return all(re.search(rf"\b{name}\.\w", text) for name in (first, second))


def _each(added: Added) -> Iterator[tuple[str, str]]:
    return ((path, line) for path, lines in added.items() for line in lines)


GATES: tuple[Gate, ...] = (size, test_awareness, early_exit, hidden_characters, equality_overrides)


def run_gates(patch: str, tests: list[str]) -> list[Finding]:
    """Every gate's objections to a patch; `tests` are the ids that the verdict rests on."""
    added = added_lines(patch)
    return [
        Finding(gate=gate.__name__, message=message, blocking=True)
        for gate in GATES
        for message in gate(added, tests)
    ]
