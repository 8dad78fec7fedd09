"""What is said of changed lines that tests do not run."""

from types import CodeType

import pytest

from nodes.gates.patch_text import make_review
from nodes.gates.untested import changed_statements, covered, lines_of, untested_lines
from tools.inside.sentient_reach import Watched
from tools.results import Reach

CODE = b'''\
"""Module."""
import os

LIMIT = 3


def area(width, height):
    """Of a rectangle."""
    if width < 0:
        raise ValueError(
            width
        )
    return width * height
'''


def patch(old: list[str], new: list[str], path: str = "area.py") -> str:
    head = [f"diff --git a/{path} b/{path}", f"--- a/{path}", f"+++ b/{path}"]
    hunk = [f"@@ -1,{len(old)} +1,{len(new)} @@", *(f"-{line}" for line in old)]
    return "\n".join([*head, *hunk, *(f"+{line}" for line in new), ""])


WHOLE = patch([], CODE.decode().splitlines())
REVIEW = make_review(WHOLE, [], {"area.py": CODE})
SPANS = changed_statements(REVIEW)
BODY = {9: ["test"], 13: ["test"]}


def found(reach: Reach | None, text: str = WHOLE) -> list[tuple[str, bool]]:
    review = make_review(text, [], {"area.py": CODE})
    items = untested_lines(SPANS, reach, review, text)
    return [(item["message"], item["blocking"]) for item in items]


def test_changed_statements_are_what_runs_as_one() -> None:
    assert SPANS == {"area.py": [(2, 2), (4, 4), (9, 9), (10, 12), (13, 13)]}
    assert lines_of(SPANS) == {"area.py": [2, 4, 9, 10, 11, 12, 13]}
    only = make_review(patch([], ["", "", "x"]), [], {"area.py": b"'''\n1\n'''\nx = 1\n"})
    assert changed_statements(only) == {}


def test_untested_lines_are_named_and_block_nothing_while_others_run() -> None:
    reach = Reach(lines={"area.py": {2: [""], 4: [""], **BODY}})
    assert found(reach) == [("area.py: no test runs lines 10-12", False)]
    assert found(Reach(lines={"area.py": {2: [""], 4: [""], 11: ["test"], **BODY}})) == []


def test_covered_is_the_share_of_changed_statements_that_ran() -> None:
    assert covered(SPANS, Reach(lines={"area.py": BODY})) == pytest.approx(0.4)
    assert covered(SPANS, Reach(lines={})) == 0
    assert [covered(SPANS, Reach()), covered(SPANS, None), covered({}, Reach(lines={}))] == [
        None
    ] * 3


def test_untested_lines_all_of_them_block() -> None:
    assert found(Reach(lines={})) == [("area.py: no test runs lines 2, 4, 9, 10-12, 13", True)]


@pytest.mark.parametrize(
    ("reach", "text"),
    [
        (Reach(lines={}, children=True), WHOLE),
        (Reach(lines={}), WHOLE + patch(["x"], [], "other.py")),
        (Reach(lines={}), WHOLE + patch([], ["{}"], "data.json")),
    ],
    ids=["processes were started", "something was removed", "another kind of file"],
)
def test_untested_lines_that_may_run_unseen_do_not_block(reach: Reach, text: str) -> None:
    assert [blocking for _, blocking in found(reach, text)] == [False]


def test_untested_lines_that_could_not_be_traced_are_said_to_be_unknown() -> None:
    ((message, blocking),) = found(Reach(lines=None))
    assert "not known" in message
    assert not blocking
    assert found(None) == []


def test_watched_lines_are_those_of_the_wanted_files() -> None:
    names: dict[str, object] = {}
    code: CodeType = compile(CODE, "/repo/area.py", "exec")
    watched = Watched({"/repo/area.py": ()})
    watched.start()
    exec(code, names)
    watched.switch("test")
    names["area"](2, 3)  # type: ignore[operator]
    lines = watched.stop()
    assert lines["/repo/area.py"][4] == {"": True}
    assert set(lines["/repo/area.py"]) >= {9, 13}
    assert 10 not in lines["/repo/area.py"]
    assert lines["/repo/area.py"][13] == {"test": True}
