from pathlib import Path

from tools.repair.localisation import Spectrum, statement_suspicion
from tools.repair.source import SourceFile, UnitKey

ADD, MUL, SHARED = (
    UnitKey("m.py", name, line) for name, line in (("add", 1), ("mul", 9), ("s", 20))
)


def test_suspicion_line_of_failing_tests_only_comes_first() -> None:
    spectrum = Spectrum({0: {ADD: {2, 3}}}, {1: {ADD: {2}}, 2: {ADD: {2}}})
    scores = spectrum.suspicion([0])[ADD]
    assert scores[3] == 1.0
    assert round(scores[2], 3) == 0.577


def test_suspicion_counts_only_the_tests_asked_for() -> None:
    spectrum = Spectrum({0: {ADD: {2}}, 1: {MUL: {10}}}, {})
    assert set(spectrum.suspicion([1])) == {MUL}


def test_groups_independent_faults_are_apart() -> None:
    failing = {0: {ADD: {2}, SHARED: {21}}, 1: {MUL: {10}, SHARED: {21}}, 2: {ADD: {2}}}
    passing = {test: {SHARED: {21}} for test in range(3, 9)}
    assert Spectrum(failing, passing).groups() == [[0, 2], [1]]


def test_groups_tests_sharing_a_suspect_are_together() -> None:
    failing = {0: {ADD: {2}}, 1: {ADD: {3}}, 2: {ADD: {4}, MUL: {10}}}
    assert Spectrum(failing, {}).groups() == [[0, 1, 2]]


def test_passing_through_names_tests_that_reach_the_unit() -> None:
    spectrum = Spectrum({}, {4: {ADD: {2}}, 5: {MUL: {10}}})
    assert spectrum.passing_through(MUL) == [5]


def test_statement_suspicion_follows_the_lines_that_use_the_name(tmp_path: Path) -> None:
    path = tmp_path / "m.py"
    path.write_text("RATE = 3\nOTHER = 4\n\n\ndef total(n):\n    m = OTHER\n    return n * RATE\n")
    file = SourceFile.read(str(path))
    total = next(key for key in file.units if key.name == "total")
    found = statement_suspicion({total: {7: 1.0}}, {file.path: file})
    assert {key.name: score for key, score in found.items()} == {"RATE": 0.9}
