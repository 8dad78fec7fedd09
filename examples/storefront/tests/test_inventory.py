import pytest

from storefront.inventory import Inventory, OutOfStockError


@pytest.fixture
def inventory():
    inventory = Inventory()
    inventory.receive("TEA", 10)
    return inventory


def test_deliveries_add_up(inventory):
    inventory.receive("TEA", 5)
    assert inventory.on_hand("TEA") == 15


def test_unknown_products_are_not_available(inventory):
    assert inventory.available("MILK") == 0


def test_reserved_units_are_not_available_to_others(inventory):
    inventory.reserve("TEA", 4)
    assert inventory.available("TEA") == 6


def test_reserved_units_stay_on_the_shelf(inventory):
    inventory.reserve("TEA", 4)
    assert inventory.on_hand("TEA") == 10


def test_the_last_unit_can_be_reserved(inventory):
    inventory.reserve("TEA", 10)
    with pytest.raises(OutOfStockError):
        inventory.reserve("TEA", 1)


def test_released_units_are_available_again(inventory):
    inventory.reserve("TEA", 4)
    inventory.release("TEA", 4)
    assert inventory.available("TEA") == 10


def test_only_reserved_units_can_be_released(inventory):
    with pytest.raises(ValueError, match="not that many"):
        inventory.release("TEA", 1)


def test_shipped_units_leave_the_shelf(inventory):
    inventory.reserve("TEA", 4)
    inventory.ship("TEA", 3)
    assert inventory.on_hand("TEA") == 7
    assert inventory.available("TEA") == 6


def test_products_run_low_below_the_minimum(inventory):
    inventory.receive("MILK", 2)
    inventory.receive("CUPS", 3)
    assert inventory.to_reorder(minimum=3) == ["MILK"]
