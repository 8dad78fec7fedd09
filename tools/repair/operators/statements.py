"""Statements deleted, reordered, moved in and out of blocks; branches unwrapped."""

import ast
from collections.abc import Iterator

from ..edits import SpanEdit
from .layout import BLOCKS, Block, shifted
from .site import Change, Site


def delete(site: Site[ast.stmt], block: Block, index: int) -> Iterator[Change]:
    """Take a statement out; dear, since deleting behaviour is what overfitting looks like."""
    start, end = block.lines_of(site.node)
    rest = f"{block.indent(site.node)}pass\n" if len(block.body) == 1 else ""
    cost = 2.8 if isinstance(site.node, BLOCKS) else 2.0
    yield site.edit("delete", cost, SpanEdit(start, end, rest))


def reorder(site: Site[ast.stmt], block: Block, index: int) -> Iterator[Change]:
    """Swap a statement with the next one, or move it elsewhere in its block."""
    text, (start, end) = block.text_of(site.node), block.lines_of(site.node)
    for place, other in enumerate(block.body):
        if place in (index, index - 1) or not block.has_own_lines(other):
            continue
        other_start, other_end = block.lines_of(other)
        if place == index + 1:
            between = site.source.text[end:other_start]
            if not between.strip():
                swapped = block.text_of(other) + between + text
                yield site.edit("swap-statements", 1.7, SpanEdit(start, other_end, swapped))
        elif not isinstance(site.node, BLOCKS):
            target = other_start if place < index else other_end
            moved = (SpanEdit(target, target, text), SpanEdit(start, end, ""))
            yield site.edit("move-statement", 2.2, *moved)


def dedent(site: Site[ast.stmt], block: Block, index: int) -> Iterator[Change]:
    """Move the last statements of a block behind it."""
    owner = block.owner
    if index != len(block.body) - 1 or index == 0 or not isinstance(owner, BLOCKS):
        return
    if getattr(owner, "orelse", []) or block.body is not owner.body:
        return
    depth = len(block.indent(site.node)) - len(block.indent(owner))
    start, end = block.lines_of(site.node)
    text = block.text_of(site.node)
    yield site.edit("dedent", 1.6, SpanEdit(start, end, shifted(text, -depth)))
    outer, _ = block.scope.parents.get(owner, (None, ""))
    if isinstance(outer, BLOCKS) and outer.body[-1] is owner:
        deeper = len(block.indent(site.node)) - len(block.indent(outer))
        yield site.edit("dedent", 2.0, SpanEdit(start, end, shifted(text, -deeper)))
    if index > 1:
        pair = block.body[index - 1], site.node
        edit = SpanEdit(*block.lines_of(*pair), shifted(block.text_of(*pair), -depth))
        yield site.edit("dedent", 2.3, edit)


def indent(site: Site[ast.stmt], block: Block, index: int) -> Iterator[Change]:
    """Move a statement into the block before it, or into an else of it."""
    before = block.body[index - 1] if index else None
    if not isinstance(before, BLOCKS):
        return
    start, end = block.lines_of(site.node)
    text, margin = block.text_of(site.node), len(block.indent(site.node))
    suite = getattr(before, "orelse", []) or before.body
    depth = len(block.indent(suite[0])) - margin
    if depth > 0:
        yield site.edit("indent", 1.6, SpanEdit(start, end, shifted(text, depth)))
        last = suite[-1]
        if isinstance(last, BLOCKS):
            inner = (getattr(last, "orelse", []) or last.body)[0]
            deeper = len(block.indent(inner)) - margin
            yield site.edit("indent", 1.9, SpanEdit(start, end, shifted(text, deeper)))
    if isinstance(before, ast.If) and not before.orelse and not isinstance(site.node, BLOCKS):
        branch = f"{' ' * margin}else:\n{shifted(text, 4)}"
        yield site.edit("else", 1.9, SpanEdit(start, end, branch))


def guard(site: Site[ast.stmt], block: Block, index: int) -> Iterator[Change]:
    """Put a statement under a condition."""
    start, end = block.lines_of(site.node)
    margin, text = block.indent(site.node), block.text_of(site.node)
    if isinstance(site.node, BLOCKS):
        return
    for condition, more in list(site.scope.predicates(site.line, site.node).items())[:60]:
        guarded = f"{margin}if {condition}:\n{shifted(text, 4)}"
        yield site.edit("guard", 2.6 + more, SpanEdit(start, end, guarded))


def change_branch(site: Site[ast.stmt], block: Block, index: int) -> Iterator[Change]:
    """`if` to `while`, `elif` to `if`, branches swapped, taken off or dropped."""
    node = site.node
    if not isinstance(node, ast.If | ast.While):
        return
    start = site.source.span(node)[0]
    word = "elif" if block.is_elif(node) else "if" if isinstance(node, ast.If) else "while"
    others = {"if": ["while"], "while": ["if"], "elif": ["if"]}[word]
    if word == "if" and index and isinstance(block.body[index - 1], ast.If):
        others.append("elif")
    for other in others:
        cost = 2.8 if word == "while" else 1.8
        yield site.edit("branch-word", cost, SpanEdit(start, start + len(word), other))
    first, last = node.body[0], node.body[-1]
    depth = len(block.indent(first)) - len(block.indent(node))
    if word != "if" or first.lineno == node.lineno or depth <= 0:
        return
    whole, body = block.lines_of(node), block.lines_of(first, last)
    text = block.text_of(first, last)
    yield site.edit("unwrap-branch", 2.1, SpanEdit(*whole, shifted(text, -depth)))
    if node.orelse and not block.is_elif(node.orelse[0]):
        other_lines = block.lines_of(node.orelse[0], node.orelse[-1])
        other_text = block.text_of(node.orelse[0], node.orelse[-1])
        swapped = (SpanEdit(*body, other_text), SpanEdit(*other_lines, text))
        yield site.edit("swap-branches", 2.0, *swapped)
        yield site.edit("drop-branch", 2.5, SpanEdit(body[1], whole[1], ""))
        always = SpanEdit(body[1], whole[1], shifted(other_text, -depth))
        yield site.edit("unwrap-branch", 2.2, always)
