import random

import pytest

from tools.repair.edits import (
    Replacement,
    SpanEdit,
    apply_replacement,
    apply_spans,
    occurrences,
    replacements,
    split_lines,
)

LINES = ("x = 1\n", "y = 2\n", "    return x\n", "\n", "for x in y:\n", "    pass\n")


def varied_texts(seed: int) -> tuple[str, str]:
    """Return a repetitive text and a variation of it: lines changed, dropped and added."""
    chance = random.Random(seed)
    before = [chance.choice(LINES) for _ in range(chance.randint(1, 14))]
    after = list(before)
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(after) + 1)
        after[place : place + chance.randint(0, 2)] = chance.choices(LINES, k=chance.randint(0, 2))
    return "".join(before), "".join(after)


@pytest.mark.parametrize("seed", range(60))
def test_replacements_applied_in_order_give_the_new_text(seed: int) -> None:
    before, after = varied_texts(seed)
    text = before
    for replacement in replacements("a.py", before, after):
        assert occurrences(text, replacement.old) == 1 or not text
        text = apply_replacement(text, replacement) if text else replacement.new
    assert text == after


@pytest.mark.parametrize("seed", range(10))
def test_replacements_old_text_is_whole_lines(seed: int) -> None:
    before, after = varied_texts(seed)
    for replacement in replacements("a.py", before, after):
        assert replacement.old.endswith("\n")


def test_replacements_repeated_line_gets_context_until_unique() -> None:
    before = "if a:\n    n += 1\nif b:\n    n += 1\n"
    (edit,) = replacements("a.py", before, "if a:\n    n += 1\nif b:\n    n += 2\n")
    assert edit == Replacement("a.py", "if b:\n    n += 1\n", "if b:\n    n += 2\n")


def test_replacements_same_text_gives_none() -> None:
    assert replacements("a.py", "a\n", "a\n") == ()


def test_apply_replacement_ambiguous_text_is_refused() -> None:
    with pytest.raises(ValueError, match="exactly once"):
        apply_replacement("aa", Replacement("a.py", "a", "b"))


def test_apply_spans_several_edits_keep_their_places() -> None:
    edits = (SpanEdit(4, 5, "yy"), SpanEdit(0, 1, "xx"), SpanEdit(5, 5, "!"))
    assert apply_spans("a + b", edits) == "xx + yy!"


def test_occurrences_overlapping_matches_count() -> None:
    assert occurrences("abab ab", "ab") == 2
    assert occurrences("aaa", "aa") == 2


def test_split_lines_form_feed_does_not_end_a_line() -> None:
    assert split_lines("a\x0cb\nc") == ["a\x0cb\n", "c"]
