"""Definitions and imports of each language, and files that resist being parsed."""

import ast
from pathlib import Path

import pytest
from parsed import parse_files
from samples import ROOT

from tools.analysis.facts import Facts

SAMPLES = {
    "shop/cart.py": (
        "from . import prices\nfrom .tax import (rate, NONE as nothing)\nimport os.path\n\n"
        "LIMIT = 3\n\n\nclass Cart:\n    def total(self):\n        def inner():\n"
        "            pass\n        return prices.of(self)\n",
        ["LIMIT", "Cart", "Cart.total", "Cart.inner"],
        [".prices", ".tax.rate", ".tax.NONE", "os.path"],
    ),
    "web/cart.js": (
        "import { of } from './prices.js';\nconst x = require('../tax');\n"
        "export const LIMIT = 3;\nexport class Cart { total() { return of(this); } }\n"
        "function helper() {}\nconst later = () => 1;\nexports.named = function () {};\n",
        ["x", "LIMIT", "Cart", "Cart.total", "helper", "later", "named"],
        ["'./prices.js'", "'../tax'"],
    ),
    "web/cart.ts": (
        "import type { Price } from './prices';\nexport interface Line { price: Price }\n"
        "export type Id = string;\nexport enum Kind { A }\n"
        "export abstract class Base { abstract of(): void; run(): void {} }\n",
        ["Line", "Id", "Kind", "Base", "Base.of", "Base.run"],
        ["'./prices'"],
    ),
    "web/view.tsx": ("export function View() { return <div/>; }\n", ["View"], []),
    "cart/cart.go": (
        'package cart\n\nimport (\n\t"fmt"\n\t"example.org/shop/tax"\n)\n\nconst Limit = 3\n\n'
        "type Cart struct{}\n\nfunc (c *Cart) Total() int { fmt.Println(tax.Rate); return 1 }\n\n"
        "func New() *Cart { return nil }\n",
        ["Limit", "Cart", "Total", "New"],
        ['"fmt"', '"example.org/shop/tax"'],
    ),
    "src/cart.rs": (
        "mod lines;\nuse crate::tax::Rate;\npub struct Cart;\n"
        "impl Cart { pub fn total(&self) {} }\n"
        "trait Priced { fn price(&self); }\nmacro_rules! cart { () => {} }\nconst LIMIT: u8 = 3;\n",
        ["Cart", "Cart.total", "Priced", "Priced.price", "cart", "LIMIT"],
        ["lines", "crate::tax::Rate"],
    ),
    "src/org/shop/Cart.java": (
        "package org.shop;\nimport org.tax.Rate;\npublic class Cart {\n  Cart() {}\n"
        "  int total() { return 1; }\n  enum Kind { A }\n}\ninterface Priced { int price(); }\n",
        ["Cart", "Cart.Cart", "Cart.total", "Cart.Kind", "Priced", "Priced.price"],
        ["org.tax.Rate"],
    ),
    "src/cart.c": (
        '#include <stdio.h>\n#include "tax.h"\n#define LIMIT 3\nstruct cart { int n; };\n'
        "typedef int money;\nint total(struct cart *c) { return c->n; }\n"
        "char *name(void) { return 0; }\n",
        ["LIMIT", "cart", "money", "total", "name"],
        ["<stdio.h>", '"tax.h"'],
    ),
    "src/cart.cpp": (
        '#include "cart.hpp"\nnamespace shop {\nclass Cart { int total() { return 1; } };\n'
        "int Cart::price() { return 2; }\ntemplate <class T> T twice(T x) { return x; }\n}\n",
        ["Cart", "Cart.total", "price", "twice"],
        ['"cart.hpp"'],
    ),
}


@pytest.fixture(scope="module")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Facts]:
    return parse_files(
        tmp_path_factory.mktemp("samples"), {path: text for path, (text, _, _) in SAMPLES.items()}
    )


@pytest.mark.parametrize("path", SAMPLES)
def test_parsing_a_language_finds_definitions_and_imports(
    parsed: dict[str, Facts], path: str
) -> None:
    text, names, imports = SAMPLES[path]
    facts = parsed[path]
    assert [definition[0] for definition in facts.definitions] == names
    assert facts.imports == imports
    assert facts.lines == text.count("\n")


def test_parsing_counts_words_and_gives_lines_of_definitions(tmp_path: Path) -> None:
    text = "def first():\n    return 1\n\n\ndef second():\n    return first() + first()\n"
    facts = parse_files(tmp_path, {"a.py": text})["a.py"]
    assert facts.definitions == [("first", "function", 1, 2), ("second", "function", 5, 6)]
    assert facts.words["first"] == 3


TRICKY = '''
"""def in_text(): pass"""
async def first(
    one=")", *, two: "dict[str, int]" = {}
) -> "str":
    """Text with "quotes",
def in_docstring():
    more"""
    import late.one
    from late import (two,  # why
        three)
# a comment to the left
    return f"{one!r}" \\
        "#"
    # one behind


@decorated(
    "x",
)
class Outer:
    def method(self): return [")"]

    def other(self):
        text = """
class InText: """
        def nested():
            return 1
        return nested

    class Inner:
        def last(self):
            x = (1,
2)
            return x

LIMIT = 3
'''


def defined(text: str) -> list[tuple[str, int, int]]:
    """Names, first and last lines by Python's own parser."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, kinds)]
    found = [(node.name, node.lineno, node.end_lineno or 0) for node in nodes]
    return sorted(found, key=lambda item: item[1])


@pytest.mark.parametrize("left", [f"{'':16}2)", "2)", "2\n)"], ids=["inside", "left", "end left"])
def test_parsing_python_finds_what_its_own_parser_finds(tmp_path: Path, left: str) -> None:
    tricky = TRICKY.replace("2)\n", f"{left}\n")
    if not left.startswith(" "):  # the whole is parsed then, and comments behind count
        tricky = tricky.replace("    # one behind", "")
    files = {path.name: path.read_text() for path in sorted((ROOT / "tools").glob("*.py"))[:20]}
    for path, facts in parse_files(tmp_path, {**files, "tricky.py": tricky}).items():
        ours = [
            (name.rpartition(".")[2], first, last)
            for name, kind, first, last in facts.definitions
            if kind != "constant"
        ]
        assert ours == defined(files.get(path, tricky)), path
        if path == "tricky.py":
            assert facts.imports == ["late.one", "late.two", "late.three"]
            assert facts.definitions[-1][:3] == ("LIMIT", "constant", tricky.count("\n"))


def test_parsing_broken_and_hostile_files_costs_those_files_only(tmp_path: Path) -> None:
    files = {
        "broken.py": "def good():\n    pass\n\n\nclass (((:\n",
        "deep.py": "x = " + "(" * 100_000,
        "deep.js": "[" * 100_000,
        "nested.py": "".join(" " * n + "if x:\n" for n in range(3000)),
        "long.py": "x = '" + "a" * 900_000 + "'\n",
        "huge.py": "x = 1\n" * 200_000,
        "name.js": "class A { 'two\\nlines \x1b[31m'() {} }\n",
        "good.py": "def fine():\n    pass\n",
    }
    facts = parse_files(tmp_path, files, seconds=0.3)
    assert {"good.py", "broken.py", "long.py", "name.js"} <= set(facts)
    assert "huge.py" not in facts
    assert [definition[0] for definition in facts["good.py"].definitions] == ["fine"]
    assert facts["broken.py"].definitions[0][0] == "good"
    assert all(name[0].isprintable() for name in facts["name.js"].definitions)


def test_parsing_when_the_parser_dies_of_a_file_goes_on_behind_it(tmp_path: Path) -> None:
    killer = tmp_path / "grammars/tree_sitter_python"
    killer.mkdir(parents=True)
    (killer / "__init__.py").write_text("import os\nos.kill(os.getpid(), 9)\n")
    files = {
        "a.py": "x = 1\n",
        "b.js": "function b() {}\n",
        "c.py": "x = 1\n",
        "d.js": "class D {}\n",
    }
    assert set(parse_files(tmp_path, files)) == {"b.js", "d.js"}
