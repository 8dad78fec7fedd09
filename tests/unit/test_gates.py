"""The reviewer's deterministic gates."""

import pytest

from nodes.gates import added_lines, run_gates

HONEST = "    return sum(values) / len(values)"


def patch_adding(line: str, path: str = "calc.py") -> str:
    return (
        f"diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n@@ -1,2 +1,2 @@\n"
        f" def mean(values):\n-    return 0\n+{line}\n"
    )


def test_gates_honest_patch_has_no_findings() -> None:
    assert run_gates(patch_adding(HONEST), ["test_calc.py::test_mean"]) == []


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
    patch = patch_adding("    def __eq__(self, other):\n+        return True")
    assert [finding["gate"] for finding in run_gates(patch, [])] == ["equality_overrides"]


def test_gates_oversized_patch_is_found() -> None:
    patch = patch_adding("\n".join(["    x = 1"] + ["+    x = 1"] * 2001))
    assert [finding["gate"] for finding in run_gates(patch, [])] == ["size"]


def test_added_lines_test_code_is_left_out() -> None:
    assert added_lines(patch_adding(HONEST, "tests/test_new.py")) == {}
    assert added_lines(patch_adding(HONEST)) == {"calc.py": [HONEST]}
