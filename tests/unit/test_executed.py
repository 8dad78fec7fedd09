"""What failing tests executed: as the trace function says, and what follows from it for files."""

import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydantic import ValidationError

from tools.analysis.spectrum import FAR, FILES, LINES, NEAR, QUICK_S, contrast, touched
from tools.inside import sentient_executed
from tools.inside.sentient_executed import Executed as Tracer
from tools.results import Executed, Outcome, TestRun

CODE = """\
import functools

class Cart:
    size = max(len(part) for part in ("a", "b"))

    @functools.cache
    def total(
        self,
    ):
        return helper()

def helper():
    return 1

def unused():
    return 2
"""


def test_tracer_names_the_functions_that_each_test_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before, tracer, names = sys.gettrace(), Tracer(), SimpleNamespace()
    sys.settrace(None)
    try:
        exec(compile(CODE, f"{tmp_path}/shop/cart.py", "exec"), vars(names))
        tracer.switch("test_total")
        names.Cart().total()
        tracer.switch("test_thread")
        thread = threading.Thread(target=names.helper)
        thread.start()
        thread.join()
        said = tracer.facts()["executed"]
        assert sys.gettrace() is None
    finally:
        sys.settrace(before)
    calls = Executed.model_validate(said).calls()
    assert calls["test_total"] == {("shop/cart.py", 10), ("shop/cart.py", 13)}
    assert calls["test_thread"] == {("shop/cart.py", 13)}


def test_tracer_rests_when_a_test_calls_nothing_new_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sentient_executed, "STALE", 5)
    before, tracer, names = sys.gettrace(), Tracer(), SimpleNamespace()
    sys.settrace(None)
    try:
        exec(compile(CODE, f"{tmp_path}/cart.py", "exec"), vars(names))
        for test in ("one", "two"):
            tracer.switch(test)
            assert sys.gettrace() == tracer.enter
            for _ in range(9):
                names.helper()
            assert sys.gettrace() is None
            names.unused()
        calls = Executed.model_validate(tracer.facts()["executed"]).calls()
    finally:
        sys.settrace(before)
    assert calls == {"one": {("cart.py", 13)}, "two": {("cart.py", 13)}}


def test_tracer_leaves_the_tracing_to_who_had_it_first(tmp_path: Path) -> None:
    before, tracer = sys.gettrace(), Tracer()

    def other(*_: object) -> None: ...

    sys.settrace(other)
    try:
        tracer.switch("test")
        assert sys.gettrace() is other
        assert tracer.facts() == {}
        assert sys.gettrace() is other
    finally:
        sys.settrace(before)


def test_executed_places_that_are_none_are_left_out() -> None:
    executed = Executed(functions=[("a.py", 3)], tests={"test": [0, 1, -1]})
    assert executed.calls() == {"test": {("a.py", 3)}}
    with pytest.raises(ValidationError):
        Executed(functions=[("a.py", 1 << 99)])


def test_touched_files_are_ordered_by_who_executes_them() -> None:
    calls = {
        "bad": {("core.py", 1), ("core.py", 9), ("base.py", 1)},
        "worse": {("core.py", 9), ("base.py", 1), ("once.py", 5)},
        "good": {("core.py", 1), ("base.py", 1), ("good.py", 1)},
        "fine": {("base.py", 1)},
    }
    found = touched(calls, ["bad", "worse", "not traced"], ["good", "fine"])
    assert [(file.path, file.lines) for file in found] == [
        ("core.py", [9, 1]), ("base.py", [1]), ("once.py", [5]),
    ]  # fmt: skip
    assert [file.score for file in found] == [1, 0.7071, 0.7071]


def test_touched_is_bounded() -> None:
    calls = {
        "bad": {(f"{file}.py", line) for file in range(FILES + 9) for line in range(LINES + 9)}
    }
    found = touched(calls, ["bad"], [])
    assert len(found) == FILES
    assert len(found[0].lines) == LINES
    assert touched({}, [], []) == []


def test_contrast_is_of_quick_passing_tests_near_and_far() -> None:
    def tests(file: str, count: int, outcome: str = "passed", seconds: float = 0) -> list[Outcome]:
        return [Outcome(id=f"{file}::{n}", outcome=outcome, seconds=seconds) for n in range(count)]

    run = TestRun(
        tests=[
            *tests("near.py", 500), *tests("near.py::bad", 1, "failed"), *tests("far.py", 30),
            *tests("slow.py", 9, seconds=2 * QUICK_S), *tests("skip.py", 9, "skipped"),
            *tests("other.py", 300),
        ]
    )  # fmt: skip
    found = contrast(run)
    of = {file: [test for test in found if test.startswith(file)] for file in ("near", "far", "o")}
    assert 0 < len(of["near"]) <= NEAR
    assert of["far"]
    assert len(of["far"]) + len(of["o"]) <= FAR
    assert len(found) == sum(map(len, of.values()))
    assert contrast(TestRun()) == []
