"""Each kind of evidence brings its file to the front."""

import pytest
from parsed import corpus_of

from tools.analysis.corpus import Corpus
from tools.analysis.evidence import Commit, Evidence, FailingTest, Touched, frames
from tools.analysis.maps import best_symbols, render
from tools.analysis.ranking import rank

FILES = {
    "shop/cart.py": (
        "from shop.rates import rate_for\n\n\ndef total(lines):\n    return rate_for(lines)\n"
    ),
    "shop/rates.py": "def rate_for(lines):\n    return 3\n",
    "shop/printing.py": "def print_receipt(order):\n    '''Print a receipt of an order.'''\n",
    "shop/storage.py": "class OrderStore:\n    def load_order(self, key):\n        return key\n",
    "shop/unrelated.py": "def noise():\n    return 'receipt'\n",
    "tests/test_cart.py": (
        "from shop.cart import total\n\n\ndef test_total():\n    assert total([]) == 0\n"
    ),
    "examples/receipts.py": "from shop.printing import print_receipt\nprint_receipt('receipt')\n",
}

PYTEST = """
tests/test_cart.py:5: in test_total
    assert total([]) == 0
shop/cart.py:5: in total
    return rate_for(lines)
shop/storage.py:2: KeyError
"""
NODE = "TypeError: x\n    at load (/home/user/repo/shop/storage.py:2:9)\n    at node:internal:3"
PYTHON = 'Error:\n  File "/repo/shop/cart.py", line 5, in x\n  File "/repo/shop/storage.py", line 2'


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return corpus_of(tmp_path_factory.mktemp("shop"), FILES)


def best(corpus: Corpus, evidence: Evidence, history: list[Commit] | None = None) -> str:
    return corpus.paths[rank(corpus, evidence, history or []).suspects[0]]


def test_ranking_words_of_the_task_find_the_file_that_is_about_them(corpus: Corpus) -> None:
    assert best(corpus, Evidence("Receipts are printed twice")) == "shop/printing.py"


def test_ranking_parts_of_a_name_find_its_definition(corpus: Corpus) -> None:
    assert best(corpus, Evidence("loading an order from the store fails")) == "shop/storage.py"


@pytest.mark.parametrize("trace", [PYTEST, NODE, PYTHON], ids=["pytest", "node", "python"])
def test_ranking_last_place_of_a_stack_trace_comes_first(corpus: Corpus, trace: str) -> None:
    evidence = Evidence(tests=[FailingTest("tests/test_all.py", trace)])
    assert best(corpus, evidence) == "shop/storage.py"


def test_ranking_failing_test_without_a_trace_finds_what_it_is_of(corpus: Corpus) -> None:
    message = "def test_total():\n    assert total([]) == 0\nE   assert 3 == 0"
    assert (
        best(corpus, Evidence(tests=[FailingTest("tests/test_cart.py", message)])) == "shop/cart.py"
    )


def test_ranking_similar_past_commits_outweigh_a_faint_word(corpus: Corpus) -> None:
    history = [
        Commit("Fix rounding of discounts", ["shop/rates.py"]),
        Commit("Reformat everything", sorted(FILES)),
    ]
    assert best(corpus, Evidence("discounts are rounded down"), history) == "shop/rates.py"


def test_ranking_files_changed_with_the_failing_test_come_first(corpus: Corpus) -> None:
    history = [Commit("x", ["shop/rates.py", "tests/test_cart.py"])] * 3
    evidence = Evidence(tests=[FailingTest("tests/test_cart.py")])
    assert best(corpus, evidence, history) == "shop/rates.py"


def test_ranking_file_that_failing_tests_alone_executed_comes_before_files_all_executed(
    corpus: Corpus,
) -> None:
    tests = [FailingTest("tests/test_all.py", "", "test_it")]
    executed = [
        Touched("shop/storage.py", 1.0, [3]),
        Touched("shop/printing.py", 0.2, [2]),
        Touched("../etc/passwd", 1.0, [1]),
    ]
    assert best(corpus, Evidence(tests=tests)) == "shop/rates.py"
    ranking = rank(corpus, Evidence(tests=tests, executed=executed))
    number = ranking.suspects[0]
    assert corpus.paths[number] == "shop/storage.py"
    assert ranking.reasons(number)[0] == "failing tests call what others do not"
    [symbol] = best_symbols(corpus, rank(corpus, Evidence()), number, 1)
    assert symbol.name == "OrderStore"
    [_, symbol] = best_symbols(corpus, ranking, number, 2)
    assert symbol.name == "OrderStore.load_order"


def test_ranking_without_evidence_puts_what_others_use_first(corpus: Corpus) -> None:
    first = [corpus.paths[n] for n in rank(corpus, Evidence()).suspects[:3]]
    assert "shop/rates.py" in first


def test_ranking_names_no_test_as_suspect_and_gives_reasons(corpus: Corpus) -> None:
    ranking = rank(corpus, Evidence("total of the cart"))
    assert not any(corpus.paths[n].startswith("tests/") for n in ranking.suspects)
    assert len(ranking.everything) == len(FILES)
    assert ranking.reasons(ranking.suspects[0])


@pytest.mark.parametrize("tokens", [0, 10, 60, 200, 2000])
def test_map_never_exceeds_its_tokens_and_lists_the_first_first(
    corpus: Corpus, tokens: int
) -> None:
    ranking = rank(corpus, Evidence("print a receipt"))
    text = render(corpus, ranking, tokens=tokens, first=["shop/storage.py"])
    assert len(text) <= tokens * 3
    if tokens >= 200:
        assert text.startswith("shop/storage.py (3 lines)\n  1-3 class OrderStore\n")
        assert "\nshop/printing.py (2 lines)\n  1-2 print_receipt\n" in text


def test_frames_of_compilers_and_other_runtimes_are_seen() -> None:
    text = (
        "src/a.rs:12:5: panicked\n\tat org.shop.Cart.total(Cart.java:41)\n"
        "\t/go/src/m/cart.go:17 +0x1d\nlib\\win.py:3: Error\nhttp://example.org/x.html:80"
    )
    assert list(frames(text)) == ["src/a.rs", "Cart.java", "/go/src/m/cart.go", "lib/win.py"]
