"""The engine as a program, on small repositories of the kinds that come up."""

import time

import pytest
from engine_samples import CLAMP, TEST_CLAMP, Repair


def test_engine_one_fault_is_fixed_with_a_minimal_edit(repair: Repair) -> None:
    run = repair({"clamp.py": CLAMP, "test_clamp.py": TEST_CLAMP})
    # The tests print: every line on standard output being an event is part of this.
    assert run.events[0] == {"event": "baseline", "tests": 5, "failing": 3}
    assert [event["event"] for event in run.events][-2:] == ["fix", "validated"]
    assert run.result["status"] == "fixed"
    assert run.edits == [("clamp.py", "if value < high:", "if value > high:")]
    assert run.result["fixed"] == run.result["failing"]
    assert run.result["suspicious"][0]["path"] == "clamp.py"


@pytest.mark.long
def test_engine_three_faults_in_three_modules_are_all_fixed(repair: Repair) -> None:
    run = repair(
        {
            "shop/__init__.py": "",
            "shop/area.py": "def area(w, h):\n    return w + h\n",
            "shop/names.py": "def initials(names):\n    return [n[1] for n in names]\n",
            "shop/stock.py": """
                def missing(wanted, stock):
                    return [item for item in wanted if item in stock]
            """,
            "tests/test_shop.py": """
                from shop.area import area
                from shop.names import initials
                from shop.stock import missing

                def test_area(): assert area(3, 4) == 12
                def test_square(): assert area(5, 5) == 25
                def test_initials(): assert initials(["bob", "amy"]) == ["b", "a"]
                def test_missing(): assert missing("abc", "b") == ["a", "c"]
                def test_nothing_is_missing(): assert missing("b", "bc") == []
                def test_empty(): assert missing([], []) == initials([]) == []
            """,
        }
    )
    assert run.result["status"] == "fixed"
    assert {fix["path"] for fix in run.result["fixes"]} == {
        "shop/area.py",
        "shop/names.py",
        "shop/stock.py",
    }
    assert "return w * h" in run.repaired()["shop/area.py"]
    assert "item not in stock" in run.repaired()["shop/stock.py"]


@pytest.mark.long
def test_engine_test_failing_through_two_faults_is_fixed(repair: Repair) -> None:
    run = repair(
        {
            "total.py": """
                def net(price, discount):
                    return price + discount

                def total(price, discount, pieces):
                    return net(price, discount) + pieces
            """,
            "test_total.py": """
                from total import net, total

                def test_net(): assert net(10, 3) == 7
                def test_net_of_nothing(): assert net(5, 0) == 5
                def test_total(): assert total(10, 3, 4) == 28
                def test_total_of_many(): assert total(10, 0, 7) == 70
            """,
        }
    )
    assert run.result["status"] == "fixed"
    assert "return price - discount" in run.repaired()["total.py"]
    assert "return net(price, discount) * pieces" in run.repaired()["total.py"]


def test_engine_one_of_two_faults_out_of_reach_is_partial(repair: Repair) -> None:
    run = repair(
        {
            "clamp.py": CLAMP,
            "test_clamp.py": TEST_CLAMP,
            "hash.py": "def digest(text):\n    return text\n",
            "test_hash.py": """
                from hash import digest

                def test_digest(): assert digest("abc") == "900150983cd24fb0"
            """,
        },
        "--max-candidates",
        "150",
    )
    assert run.result["status"] == "partial"
    assert run.edits == [("clamp.py", "if value < high:", "if value > high:")]
    assert "test_hash.py::test_digest" not in run.result["fixed"]


@pytest.mark.long
def test_engine_unrepairable_code_gives_none_within_the_budget(repair: Repair) -> None:
    started = time.monotonic()
    run = repair(
        {
            "hash.py": """
                def digest(text):
                    total = 0
                    for letter in text:
                        total = (total + ord(letter)) % 1000
                    return str(total)
            """,
            "test_hash.py": """
                from hash import digest

                def test_one(): assert digest("a") == "0cc175b9c0f1b6a8"
                def test_two(): assert digest("abc") == "900150983cd24fb0"
            """,
        },
        "--budget-s",
        "2",
        "--max-candidates",
        "100000",
    )
    assert run.result["status"] == "none"
    assert run.result["fixes"] == []
    assert str(run.result["tried"]) in run.result["message"]
    assert time.monotonic() - started < 10


@pytest.mark.long
def test_engine_constant_of_a_module_is_fixed_wherever_it_was_imported(repair: Repair) -> None:
    run = repair(
        {
            "settings.py": "LIMIT = 9\n",
            "store.py": """
                from settings import LIMIT

                def fits(items):
                    return len(items) <= LIMIT

                def room(items):
                    return LIMIT - len(items)
            """,
            "test_store.py": """
                from store import fits, room

                def test_few_fit(): assert fits([1]) and not fits(range(30))
                def test_ten_is_the_limit():
                    assert fits(range(10))
                    assert not fits(range(11))
                    assert [room([]), room([1, 2])] == [10, 8]
            """,
        }
    )
    assert run.edits == [("settings.py", "LIMIT = 9", "LIMIT = 10")]


@pytest.mark.long
def test_engine_default_of_a_dataclass_field_is_fixed_by_a_fresh_import(repair: Repair) -> None:
    run = repair(
        {
            "options.py": """
                from dataclasses import dataclass

                @dataclass(frozen=True)
                class Options:
                    retries: int = 2
                    name: str = "plain"

                def attempts(options):
                    return options.retries + 1
            """,
            "test_options.py": """
                from options import Options, attempts

                def test_default(): assert Options().retries == 3
                def test_default_attempts(): assert attempts(Options()) == 4
                def test_attempts(): assert attempts(Options(retries=0)) == 1
                def test_more(): assert attempts(Options(retries=7)) == 8
            """,
        }
    )
    assert run.edits == [("options.py", "retries: int = 2", "retries: int = 3")]


@pytest.mark.long
def test_engine_shared_default_list_is_unshared(repair: Repair) -> None:
    run = repair(
        {
            "log.py": """
                def collect(item, seen=[]):
                    seen.append(item)
                    return seen
            """,
            "test_log.py": """
                from log import collect

                def test_given(): assert collect(2, [1]) == [1, 2]
                def test_fresh_every_time():
                    assert collect(1) == [1]
                    assert collect(2) == [2]
            """,
        }
    )
    assert run.result["status"] == "fixed"
    assert "seen=None" in run.repaired()["log.py"]


@pytest.mark.long
def test_engine_runs_twice_with_the_same_edits(repair: Repair) -> None:
    files = {
        "area.py": "def area(w, h):\n    return w + h\n",
        "test_area.py": "from area import area\n\ndef test_area(): assert area(3, 4) == 12\n",
    }
    one, other = repair(files), repair(files, "--jobs", "1")
    assert one.result["fixes"] == other.result["fixes"]
    assert one.result["tried"] == other.result["tried"]
