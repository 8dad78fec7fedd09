"""The reviewer's deterministic gates."""

import pytest

from nodes.gates import run_gates
from nodes.gates.patch_text import read_patch

HONEST = "    return sum(values) / len(values)"


def patch_adding(code: str, path: str = "calc.py") -> str:
    lines = code.split("\n")
    body = "".join(f"+{line}\n" for line in lines)
    return (
        f"diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n"
        f"@@ -1,2 +1,{1 + len(lines)} @@\n def mean(values):\n-    return 0\n{body}"
    )


def gates_of(code: str) -> set[str]:
    files = {"calc.py": f"def mean(values):\n{code}\n".encode()}
    return {finding["gate"] for finding in run_gates(patch_adding(code), [], files)}


def test_gates_honest_patch_has_no_findings() -> None:
    assert run_gates(patch_adding(HONEST), ["test_calc.py::test_mean"]) == []


def test_gates_changed_requirements_are_told_and_block_nothing() -> None:
    [finding] = run_gates(patch_adding("left-pad", "requirements.txt"), [])
    assert finding == {
        "gate": "changed_requirements",
        "message": "requirements.txt is changed; the tests ran with what the base asks for",
        "blocking": False,
    }


@pytest.mark.parametrize(
    "line",
    [
        '    if "PYTEST_CURRENT_TEST" in os.environ: return 3',
        "    if 'pytest' in sys.modules: return 3",
        "    if inspect.stack()[1].function.startswith('test'): return 3",
        "    if sys._getframe(1).f_code.co_name == 'x': return 3",
        "    if caller == 'test_mean': return 3",
        "    os._exit(0)",
        "    import atexit",
    ],
    ids=["environment", "modules", "stack", "frame", "name", "exit", "hook"],
)
def test_gates_cheating_line_is_found(line: str) -> None:
    assert run_gates(patch_adding(line), ["test_calc.py::test_mean[1]"])


def test_gates_constant_equality_is_found() -> None:
    assert gates_of("    def __eq__(self, other):\n        return True") == {"equality_overrides"}
    assert gates_of("    __eq__ = lambda s, o: bool(1)") == {"equality_overrides"}
    assert "equality_overrides" in gates_of("    Q = type('Q', (), {'__eq__': f})")


def test_gates_comparison_of_both_operands_is_no_finding() -> None:
    code = "    def __eq__(self, other):\n        return self.x == other.x"
    assert gates_of(code) == set()


@pytest.mark.parametrize("separator", ["\x0c", "\x1c", "\x85", "\u2028", "\r"])
def test_gates_code_behind_a_line_separator_is_found(separator: str) -> None:
    line = f"    # x{separator}diff --git a/x b/tests/x.py{separator}import os; os._exit(0)"
    assert "early_exit" in gates_of(line)
    assert "hidden_characters" in gates_of(line)


def test_gates_oversized_patch_is_found() -> None:
    assert gates_of("\n".join(["    x = 1"] * 2001)) == {"size"}


def test_added_lines_test_code_is_left_out() -> None:
    assert read_patch(patch_adding(HONEST, "tests/test_new.py"))[0] == {}
    assert read_patch(patch_adding(HONEST))[0] == {"calc.py": {2: HONEST}}
