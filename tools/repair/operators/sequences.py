"""Indexes, slices and the elements of displays."""

import ast
import itertools
from collections.abc import Iterator

from .site import Change, Site


def change_slice(site: Site[ast.Subscript]) -> Iterator[Change]:
    """`a[:n]` to `a[n:]`, `a[1:n]`, `a[::-1]`, ..."""
    if not isinstance(site.node.slice, ast.Slice):
        return
    base, part = site.write(site.node.value), site.node.slice
    low, high = (site.write(bound) if bound else "" for bound in (part.lower, part.upper))
    step = f":{site.write(part.step)}" if part.step else ""
    found: list[tuple[float, str]] = []
    if bool(low) != bool(high):
        found.append((1.2, f"{high}:{low}{step}"))
    if low:
        found.append((1.4, f":{high}{step}"))
    if high:
        found.append((1.4, f"{low}:{step}"))
    names = site.scope.numbers_near(site.line)
    if not low:
        found += [(1.4, f"1:{high}{step}"), *((1.9, f"{name}:{high}{step}") for name in names)]
    if not high:
        found += [(1.4, f"{low}:-1{step}"), *((1.9, f"{low}:{name}{step}") for name in names)]
    found += [(1.4, f"{low}:{high}")] if step else [(1.8, f"{low}:{high}:-1")]
    for cost, text in found:
        yield from site.become("slice", cost, f"{base}[{text}]")


def change_index(site: Site[ast.Subscript]) -> Iterator[Change]:
    """`a[i]` to `a`, `a[i:]`, `a[:i]`; `a[i][j]` to `a[j][i]`; `a[i, j]` to `a[j, i]`."""
    base, index = site.write(site.node.value), site.node.slice
    if not site.is_stored:
        yield from site.become("drop-index", 1.8, base)
    if isinstance(index, ast.Slice):
        return
    if isinstance(index, ast.Tuple):
        yield from _swap_elements(site, index, f"{base}[", "]")
        return
    text = site.write(index)
    if not site.is_stored:
        yield from site.become("slice", 1.9, f"{base}[{text}:]")
        yield from site.become("slice", 1.9, f"{base}[:{text}]")
        yield from site.become("get-default", 2.0, f"{base}.get({text}, 0)")
        yield from site.become("get-default", 2.0, f"{base}.get({text})")
    outer = site.node.value
    if isinstance(outer, ast.Subscript) and not isinstance(outer.slice, ast.Slice):
        swapped = f"{site.write(outer.value)}[{text}][{site.write(outer.slice)}]"
        yield from site.become("swap-index", 1.2, swapped)


def change_elements(site: Site[ast.Tuple] | Site[ast.List]) -> Iterator[Change]:
    """Swap, drop and add the elements of a list or tuple display."""
    node, text = site.node, site.text
    is_list = isinstance(node, ast.List)
    opening, closing = ("[", "]") if is_list else ("(", ")") if text.startswith("(") else ("", "")
    if (
        not is_list
        and opening
        and node.elts
        and site.source.span(node.elts[0])[0] == site.source.span(node)[0]
    ):
        opening = closing = ""
    yield from _swap_elements(site, node, opening, closing)
    if site.is_stored:
        return
    parts = [site.write(element) for element in node.elts]
    for index in range(len(parts)):
        kept = parts[:index] + parts[index + 1 :]
        if kept or is_list:
            comma = "," if len(kept) == 1 and not is_list else ""
            shorter = f"{opening}{', '.join(kept)}{comma}{closing}"
            yield from site.become("drop-element", 1.7, shorter)
    if is_list:
        for rank, name in enumerate(site.scope.near(site.line, 10)):
            longer = f"[{', '.join([*parts, name])}]"
            yield from site.become("add-element", 1.9 + 0.04 * rank, longer)
        if not parts:
            for text in ("[[]]", "[0]", "[1]", "['']", "None"):
                yield from site.become("empty-list", 1.7, text)


def change_yield(site: Site[ast.Yield] | Site[ast.YieldFrom]) -> Iterator[Change]:
    """`yield a` to `yield from a`, and back."""
    if site.node.value is not None:
        keyword = "yield" if isinstance(site.node, ast.YieldFrom) else "yield from"
        yield from site.become("yield", 1.3, f"{keyword} {site.write(site.node.value)}")


def _swap_elements(
    site: Site[ast.Subscript] | Site[ast.Tuple] | Site[ast.List],
    display: ast.Tuple | ast.List,
    opening: str,
    closing: str,
) -> Iterator[Change]:
    parts = [site.write(element) for element in display.elts]
    for one, other in itertools.combinations(range(min(len(parts), 4)), 2):
        swapped = list(parts)
        swapped[one], swapped[other] = swapped[other], swapped[one]
        yield from site.become("swap-elements", 1.3, f"{opening}{', '.join(swapped)}{closing}")
