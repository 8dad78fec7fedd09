"""Constants: neighbouring numbers, flipped booleans, text of another case, values at hand."""

import ast
from collections.abc import Iterator

from .site import Change, Site

_SEPARATORS = (",", ", ", "\n", "0", "1", "-", "_", ".", ":", "/")


def change_integer(site: Site[ast.Constant]) -> Iterator[Change]:
    """`1` to `2`, `0`, `-1`, the unit's other integers, or a number at hand."""
    value = site.node.value
    if type(value) is not int:
        return
    for other in (value + 1, value - 1):
        yield from site.become("constant", 1.0, str(other))
    if value:
        yield from site.become("constant", 1.2, str(-value))
    for other in (0, 1, -1, 2, 10, *site.scope.integers):
        yield from site.become("constant", 1.4, str(other))
    if value:
        scaled = [value * 2, value * 10, value * 100]
        scaled += [value // part for part in (2, 10, 100) if value % part == 0]
        for other in scaled:
            yield from site.become("constant", 1.7, str(other))
    for rank, name in enumerate(site.scope.numbers_near(site.line)):
        yield from site.become("constant-to-variable", 1.6 + 0.03 * rank, name)
    for name in site.scope.constants_of_module:
        yield from site.become("constant-to-variable", 1.7, name)
    yield from site.become("constant", 2.2, "None")
    yield from site.become("constant", 2.4, str(float(value)))


def change_float(site: Site[ast.Constant]) -> Iterator[Change]:
    """`0.5` to `1.5`, `5.0`, `-0.5`, ..."""
    value = site.node.value
    if type(value) is not float:
        return
    others = [value + 1, value - 1, -value, value / 10, value * 10, value / 100, value * 100]
    others += [value * 2, value / 2, 1 - value, 0.0, 1.0]
    for other in others:
        yield from site.become("constant", 1.4, repr(round(other, 10)))
    if value.is_integer():
        yield from site.become("constant", 1.4, str(int(value)))


def flip_boolean(site: Site[ast.Constant]) -> Iterator[Change]:
    """`True` to `False`, to a condition at hand, or to None."""
    value = site.node.value
    if type(value) is not bool:
        return
    yield from site.become("boolean", 0.9, str(not value))
    if isinstance(site.parent, ast.Return | ast.While | ast.If | ast.Assign):
        for condition, more in site.scope.predicates(site.line).items():
            yield from site.become("boolean-to-condition", 1.9 + more, condition)
    yield from site.become("constant", 2.0, "None")


def change_text(site: Site[ast.Constant]) -> Iterator[Change]:
    """`"a"` to the unit's other strings, and to itself in another case or trimmed."""
    value = site.node.value
    if not isinstance(value, str) or isinstance(site.parent, ast.Expr) or len(value) > 80:
        return
    if not site.text.startswith(("'", '"')):  # a prefixed literal is left alone
        return
    quote = site.text[0]
    for other in site.scope.strings:
        yield from site.become("string", 1.4, _quoted(other, quote))
    cases = (value.lower(), value.upper(), value.title(), value.capitalize(), value.strip())
    trims = (value + " ", " " + value, value[:-1], value[1:], "", " ", value[::-1])
    for other in (*cases, *trims, *_SEPARATORS):
        if other != value:
            yield from site.become("string", 1.7, _quoted(other, quote))


def replace_none(site: Site[ast.Constant]) -> Iterator[Change]:
    """`None` to what else the unit returns or binds."""
    if site.node.value is None:
        for text, more in site.scope.values(site.line).items():
            yield from site.become("none-to-value", 1.7 + more, text)


def _quoted(text: str, quote: str) -> str:
    plain = text.isprintable() and quote not in text and "\\" not in text
    return f"{quote}{text}{quote}" if plain else repr(text)
