"""From facts to arrays: who refers to whom, in every language, and the way to bytes and back."""

from dataclasses import fields

import numpy as np
import pytest
from parsed import corpora_of

from tools.analysis.corpus import ASIDE, TEST, Corpus

IMPORTING = {
    "python, relative": {"p/a.py": "from . import b\n", "p/b.py": ""},
    "python, absolute": {"src/p/a.py": "import p.q.b\n", "src/p/q/b.py": ""},
    "python, package": {"p/a.py": "from ..q import thing\n", "q/__init__.py": ""},
    "javascript, file": {"w/a.js": "import './x/b.js'\n", "w/x/b.js": ""},
    "typescript, folder": {"w/a.ts": "export * from '../lib'\n", "lib/index.ts": ""},
    "go": {"cmd/a.go": 'package a\nimport "example.org/m/tax"\n', "tax/b.go": "package tax\n"},
    "rust": {"src/a.rs": "use crate::tax::{Rate, none};\n", "src/tax/mod.rs": ""},
    "java": {"src/o/A.java": "import o.tax.Rate;\n", "src/o/tax/Rate.java": ""},
    "c": {"src/a.c": '#include "lib/tax.h"\n', "include/lib/tax.h": ""},
}


def edges(corpus: Corpus) -> set[tuple[str, str]]:
    pairs = zip(corpus.sources, corpus.targets, strict=True)
    return {(corpus.paths[one], corpus.paths[other]) for one, other in pairs}


SAMPLES = {
    **IMPORTING,
    "empty": {},
    "one file": {"a.py": ""},
    "nearest": {"one/a.py": "import names\n", "one/names.py": "", "two/names.py": ""},
    "names": {
        **{f"m{n}.py": "def run():\n    pass\n" for n in range(9)},
        "a.py": "special(run)\n",
        "z.py": "def special(x):\n    pass\n",
    },
    "kinds": dict.fromkeys(
        ("pkg/a.py", "tests/b.py", "pkg/c_test.go", "docs/d.py", "x.spec.ts"), ""
    ),
}


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Corpus]:
    return corpora_of(tmp_path_factory.mktemp("corpora"), SAMPLES)


@pytest.mark.parametrize("language", IMPORTING)
def test_corpus_import_of_a_file_is_an_edge(corpora: dict[str, Corpus], language: str) -> None:
    importer, imported = IMPORTING[language]
    assert edges(corpora[language]) == {(importer, imported)}


def test_corpus_import_with_several_candidates_means_the_nearest(
    corpora: dict[str, Corpus],
) -> None:
    assert edges(corpora["nearest"]) == {("one/a.py", "one/names.py")}


def test_corpus_reference_by_a_rare_name_is_an_edge_and_by_a_common_one_is_not(
    corpora: dict[str, Corpus],
) -> None:
    assert edges(corpora["names"]) == {("a.py", "z.py")}


def test_corpus_tells_tests_and_examples_from_the_rest(corpora: dict[str, Corpus]) -> None:
    corpus = corpora["kinds"]
    kinds = dict(zip(corpus.paths, corpus.kinds.tolist(), strict=True))
    assert kinds == {
        "pkg/a.py": 0, "tests/b.py": TEST, "pkg/c_test.go": TEST, "docs/d.py": ASIDE,
        "x.spec.ts": TEST,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["empty", "one file", "rust"])
def test_corpus_goes_to_bytes_and_back(corpora: dict[str, Corpus], name: str) -> None:
    made = corpora[name]
    again = Corpus.from_bytes(made.to_bytes())
    for field in fields(Corpus):
        one, other = getattr(made, field.name), getattr(again, field.name)
        if isinstance(one, list):
            assert one == other
        elif isinstance(one, np.ndarray):
            assert np.array_equal(one, other)
    assert np.array_equal(made.contents.starts, again.contents.starts)
