"""The demonstration: three faults in three modules of a small shop."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

STOREFRONT = Path(__file__).parents[2] / "examples" / "storefront"


def test_storefront_gets_the_three_patches_a_person_would_write(
    run_engine: Callable[..., Any], tmp_path: Path
) -> None:
    root = shutil.copytree(STOREFRONT, tmp_path / "storefront")
    run = run_engine(root)
    assert run.result["status"] == "fixed"
    assert sorted(run.edits) == [
        (
            "storefront/discounts.py",
            "if quantity > minimum:",
            "if quantity >= minimum:",
        ),
        (
            "storefront/inventory.py",
            "return self.on_hand(sku) + self._reserved.get(sku, 0)",
            "return self.on_hand(sku) - self._reserved.get(sku, 0)",
        ),
        (
            "storefront/reports.py",
            "return revenue_cents(sales) // len(sales)",
            "return revenue_cents(sales) // len(orders)",
        ),
    ]
