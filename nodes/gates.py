"""The reviewer's deterministic gates: small pure functions from a patch to findings."""

import re
from collections.abc import Callable, Iterator

from nodes.state import Finding
from tools.protection import is_protected

TEST_AWARE = re.compile(
    r"PYTEST_|SENTIENT_|\bpytest\b|\b_pytest\b|\bunittest\b|sys\.modules|\binspect\.(stack|currentframe)"
    r"|sys\._getframe|\bgettrace\b|f_code\b|co_name\b"
)
"""What product code needs only to find out that it is being tested."""

SIZE_LIMIT = 2000
"""Added lines above which a patch is not reviewed any more."""

Gate = Callable[[dict[str, list[str]], list[str]], Iterator[str]]


def added_lines(patch: str) -> dict[str, list[str]]:
    """The lines a unified diff adds, by path; test code and configuration left out."""
    found: dict[str, list[str]] = {}
    path, in_hunk = "", False
    for line in patch.splitlines():
        if line.startswith("diff --git "):
            path, in_hunk = line.rsplit(" b/", 1)[-1], False
        elif line.startswith("@@"):
            in_hunk = True
        elif in_hunk and line.startswith("+") and not is_protected(path):
            found.setdefault(path, []).append(line[1:])
    return found


def size(added: dict[str, list[str]], tests: list[str]) -> Iterator[str]:
    """A patch that nobody can read is not accepted."""
    count = sum(map(len, added.values()))
    if count > SIZE_LIMIT:
        yield f"the patch adds {count} lines, more than {SIZE_LIMIT}"


def test_awareness(added: dict[str, list[str]], tests: list[str]) -> Iterator[str]:
    """Product code may not look for the tests: by environment, stack or name."""
    names = {test.split("::")[-1].split("[")[0] for test in tests}
    for path, lines in added.items():
        for line in lines:
            if match := TEST_AWARE.search(line):
                yield f"{path} looks for the tests ({match.group()}): {line.strip()[:80]}"
            elif found := sorted(
                name for name in names if re.search(rf"\b{re.escape(name)}\b", line)
            ):
                yield f"{path} names the test {found[0]}: {line.strip()[:80]}"


def early_exit(added: dict[str, list[str]], tests: list[str]) -> Iterator[str]:
    """No added code may end the process or skip; that is how a suite is made to look green."""
    for path, lines in added.items():
        for line in lines:
            if re.search(r"os\._exit|os\.abort|os\.kill|atexit|faulthandler", line):
                yield f"{path} ends or hooks the process: {line.strip()[:80]}"


def equality_overrides(added: dict[str, list[str]], tests: list[str]) -> Iterator[str]:
    """An `__eq__` that always agrees makes every assertion pass."""
    for path, lines in added.items():
        text = "\n".join(lines)
        match = re.search(r"def __(eq|ne)__\(.*\)[^\n]*:\s*(\n\s*)?return (True|False)\b", text)
        if match:
            yield f"{path} makes comparison constant"


GATES: tuple[Gate, ...] = (size, test_awareness, early_exit, equality_overrides)


def run_gates(patch: str, tests: list[str]) -> list[Finding]:
    """Every gate's objections to a patch; `tests` are the ids that the verdict rests on."""
    added = added_lines(patch)
    return [
        Finding(gate=gate.__name__, message=message, blocking=True)
        for gate in GATES
        for message in gate(added, tests)
    ]
