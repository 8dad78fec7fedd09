from pathlib import Path

import pytest

from tools.repair.edits import SpanEdit
from tools.repair.source import Source, SourceFile, Unit

MODULE = """from functools import cache

RATE = 2


class Outer:
    limit = 3

    class Inner:
        @cache
        def size(self):
            return "größe", self.limit


def plain(a):
    return a
"""


@pytest.fixture
def file(tmp_path: Path) -> SourceFile:
    path = tmp_path / "module.py"
    path.write_text(MODULE, encoding="utf-8")
    return SourceFile.read(str(path))


def unit(file: SourceFile, name: str) -> Unit:
    return next(unit for key, unit in file.units.items() if key.name == name)


def test_source_file_units_are_functions_and_bindings(file: SourceFile) -> None:
    names = [key.name for key in file.units]
    assert names == ["RATE", "Outer.limit", "Outer.Inner.size", "plain"]


def test_unit_of_a_nested_class_keeps_line_numbers(file: SourceFile) -> None:
    method = unit(file, "Outer.Inner.size")
    assert (method.key.line, method.node.lineno, method.last_line) == (10, 11, 12)


def test_unit_edited_changes_nothing_else_of_the_file(file: SourceFile) -> None:
    function = unit(file, "plain")
    start = function.text.index("return")
    changed = function.edited((SpanEdit(start, start, "a += 1\n    "),))
    assert file.text_with(changed) == MODULE.replace("return a\n", "a += 1\n    return a\n")
    assert file.text() == MODULE


def test_unit_grown_above_another_leaves_its_coordinates_alone(file: SourceFile) -> None:
    binding = unit(file, "RATE")
    longer = binding.edited((SpanEdit(0, 0, "UNIT = 1\n"),))
    file.units[binding.key] = longer
    assert unit(file, "plain").key.line == 15
    assert file.text().endswith("def plain(a):\n    return a\n")


def test_source_offset_counts_bytes_before_a_column() -> None:
    source = Source('x = "ö", y\n')
    assert source.text[source.offset(1, 10)] == "y"


def test_source_file_statement_beside_its_class_is_no_unit(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text("class A: x = 1\ny = 2; z = 3\nw = 4\n")
    assert [key.name for key in SourceFile.read(str(path)).units] == ["w"]
