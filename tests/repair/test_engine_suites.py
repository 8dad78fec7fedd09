"""The engine as a program, on suites that hang, die, keep state or are laid out differently."""

import pytest
from engine_samples import CLAMP, TEST_CLAMP, Repair


@pytest.mark.long
def test_engine_hanging_loop_is_fixed(repair: Repair) -> None:
    run = repair(
        {
            "triangle.py": """
                def triangle(rows):
                    total = 0
                    while rows > 0:
                        total += rows
                        rows += 1
                    return total
            """,
            "test_triangle.py": """
                from triangle import triangle

                def test_nothing(): assert triangle(0) == 0
                def test_one_row(): assert triangle(1) == 1
                def test_rows(): assert triangle(4) == 10
            """,
        },
        "--test-timeout-s",
        "0.3",
    )
    assert run.result["status"] == "fixed"
    assert run.edits == [("triangle.py", "rows += 1", "rows -= 1")]


@pytest.mark.long
def test_engine_sleeping_test_counts_as_hung(repair: Repair) -> None:
    run = repair(
        {
            "clamp.py": CLAMP,
            "test_clamp.py": TEST_CLAMP,
            "test_wait.py": "import time\n\ndef test_wait(): time.sleep(600)\n",
        },
        "--test-timeout-s",
        "0.2",
        "--max-candidates",
        "200",
    )
    assert run.result["status"] == "partial"
    assert "test_wait.py::test_wait" in run.result["failing"]
    assert run.edits == [("clamp.py", "if value < high:", "if value > high:")]


def test_engine_unittest_cases_are_understood(repair: Repair) -> None:
    run = repair(
        {
            "clamp.py": CLAMP,
            "test_clamp.py": """
                import unittest
                from clamp import clamp

                class ClampTest(unittest.TestCase):
                    def setUp(self): self.bounds = (0, 10)
                    def test_inside(self): self.assertEqual(clamp(5, *self.bounds), 5)
                    def test_above(self): self.assertEqual(clamp(11, *self.bounds), 10)
                    def test_edges(self):
                        for value in (0, 10):
                            with self.subTest(value=value):
                                self.assertEqual(clamp(value, *self.bounds), value)
                    @unittest.skip("not now")
                    def test_skipped(self): self.fail()
                    @unittest.expectedFailure
                    def test_known(self): self.assertEqual(clamp(1, 2, 3), 1)
            """,
        }
    )
    assert run.result["status"] == "fixed"
    assert run.edits == [("clamp.py", "if value < high:", "if value > high:")]


def test_engine_src_layout_is_on_the_path(repair: Repair) -> None:
    run = repair({"src/clamp.py": CLAMP, "tests/test_clamp.py": TEST_CLAMP})
    assert run.result["status"] == "fixed"
    assert run.edits[0][0] == "src/clamp.py"


def test_engine_nothing_failing_says_so(repair: Repair) -> None:
    run = repair(
        {
            "test_ok.py": """
                import pytest

                def test_ok(): pass
                @pytest.mark.xfail
                def test_known(): assert False
                @pytest.mark.skip
                def test_skipped(): assert False
            """
        }
    )
    assert run.result["status"] == "nothing-failing"
    assert (run.result["tests"], run.result["failing"], run.result["fixes"]) == (3, [], [])


def test_engine_broken_import_is_a_collection_error(repair: Repair) -> None:
    run = repair({"test_broken.py": "import no_such_module\n\ndef test_it(): pass\n"})
    assert run.result["status"] == "collection-error"
    assert "no_such_module" in run.result["message"]


def test_engine_missing_tests_are_a_collection_error(repair: Repair) -> None:
    run = repair({"clamp.py": CLAMP})
    assert run.result["status"] == "collection-error"
    assert run.result["message"]


@pytest.mark.long
def test_engine_project_with_warnings_as_errors_is_repaired(repair: Repair) -> None:
    run = repair(
        {
            "pyproject.toml": """
                [tool.pytest.ini_options]
                filterwarnings = ["error"]
                addopts = "--strict-markers --strict-config"
            """,
            "clamp.py": CLAMP,
            "test_clamp.py": TEST_CLAMP,
            "test_warning.py": """
                import warnings
                import pytest

                def test_warning_is_an_error():
                    with pytest.raises(UserWarning):
                        warnings.warn("now an error")
            """,
        }
    )
    assert run.result["status"] == "fixed"
    assert run.edits == [("clamp.py", "if value < high:", "if value > high:")]


@pytest.mark.long
def test_engine_tests_that_end_the_process_cost_only_themselves(repair: Repair) -> None:
    run = repair(
        {
            "clamp.py": CLAMP,
            "test_a_exit.py": "import os\n\ndef test_exit(): os._exit(0)\n",
            "test_b_kill.py": "import os\n\ndef test_kill(): os.kill(os.getpid(), 9)\n",
            "test_clamp.py": TEST_CLAMP,
        },
        "--max-candidates",
        "200",
    )
    assert run.result["status"] == "partial"
    assert {"test_a_exit.py::test_exit", "test_b_kill.py::test_kill"} <= set(run.result["failing"])
    assert run.edits == [("clamp.py", "if value < high:", "if value > high:")]


@pytest.mark.long
def test_engine_memoised_function_is_judged_without_old_results(repair: Repair) -> None:
    run = repair(
        {
            "ways.py": """
                from functools import lru_cache

                @lru_cache(maxsize=None)
                def ways(steps):
                    if steps < 2:
                        return 1
                    return ways(steps - 1) + ways(steps - 1)
            """,
            "test_ways.py": """
                from ways import ways

                def test_none(): assert ways(0) == 1
                def test_few(): assert ways(3) == 3
                def test_many(): assert ways(10) == 89
            """,
        }
    )
    assert (
        run.edits
        == [
            (
                "ways.py",
                "return ways(steps - 1) + ways(steps - 1)",
                "return ways(steps - 1) + ways(steps - 2)",
            )
        ]
        or "ways(steps - 2)" in run.repaired()["ways.py"]
    )


@pytest.mark.long
def test_engine_arguments_changed_in_place_do_not_mislead_later_candidates(
    repair: Repair,
) -> None:
    run = repair(
        {
            "drain.py": """
                def drain(items):
                    total = 1
                    while items:
                        total += items.pop()
                    return total
            """,
            "test_drain.py": """
                import pytest
                from drain import drain

                SHARED = [5, 6]

                @pytest.mark.parametrize("items, total", [([1, 2], 3), ([4], 4)])
                def test_drain(items, total): assert drain(items) == total
                def test_shared(): assert drain(SHARED) == 11
            """,
        }
    )
    assert run.result["status"] == "fixed"
    assert run.edits == [("drain.py", "total = 1", "total = 0")]


def test_engine_protected_files_are_left_alone(repair: Repair) -> None:
    run = repair({"clamp.py": CLAMP, "test_clamp.py": TEST_CLAMP}, "--protect", "cl*.py", "x.py")
    assert run.result["status"] == "none"
    assert run.result["suspicious"] == []
