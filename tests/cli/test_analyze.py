"""`sentient analyze`: for people, for programs, for a model."""

import json
import subprocess
from pathlib import Path

from samples import Repo, Run

CART = """\
from shop import rates


class Cart:
    def total(self):
        return rates.of(self)
"""
FILES = {
    "pyproject.toml": '[project.scripts]\nshop = "shop.cli:main"\n',
    "shop/cart.py": CART,
    "shop/rates.py": "def of(cart):\n    return 3\n",
    "tests/test_cart.py": "from shop.cart import Cart\n",
    "tests/conftest.py": "",
}


def git(folder: Path, *args: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@t"]
    subprocess.run(["git", *identity, *args], cwd=folder, check=True, capture_output=True)


def test_analyze_shows_what_a_repository_is_and_where_a_task_points(
    sentient: Run, repo: Repo
) -> None:
    done = sentient("analyze", str(repo(FILES, "shop")), "--task", "the total of a cart is wrong")
    assert done.returncode == 0, done.stderr
    assert "lines      Python 9\n" in done.stdout
    assert "run them   pytest\n" in done.stdout
    assert "entry      shop = shop.cli:main\n" in done.stdout
    assert "\nshop/cart.py  (words of the task" in done.stdout
    assert "  5-6          Cart.total\n" in done.stdout


def test_analyze_as_json_knows_history_and_what_was_analysed_before(
    sentient: Run, repo: Repo
) -> None:
    folder = repo({path: f"# once\n{text}" for path, text in FILES.items()}, "shop")
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "Round the discounts")
    (folder / "shop/cart.py").write_text(f"# twice\n{CART}")
    git(folder, "commit", "-qam", "Fix the rounding of discounts")
    task = ("--task", "discounts are rounded", "--tokens", "200")
    first, second = (
        json.loads(sentient("analyze", str(folder), "--json", *task).stdout) for _ in range(2)
    )
    assert (first["parsed_now"], second["parsed_now"]) == (4, 0)
    assert first["commits"] == 2
    best = first["ranking"][0]
    assert best["path"] == "shop/cart.py"
    assert "changed for similar tasks" in best["because"]
    assert best["symbols"][0] == {"name": "Cart", "kind": "class", "first": 5, "last": 7}
    assert first["tests"]["folders"] == ["tests"]
    assert first["map"].startswith("shop/cart.py (7 lines)\n  5-7 class Cart\n")
    assert {**first, "parsed_now": 0} == second


def test_analyze_of_nothing_is_a_usage_error(sentient: Run, tmp_path: Path) -> None:
    done = sentient("analyze", str(tmp_path / "missing"))
    assert done.returncode == 2
    assert "no such folder" in done.stderr
