import pytest

from storefront.discounts import Coupon, bulk_discount, bulk_percent, shipping_cost


@pytest.mark.parametrize(
    ("quantity", "percent"), [(1, 0), (9, 0), (10, 5), (19, 5), (20, 10), (49, 10), (50, 15)]
)
def test_a_tier_starts_with_its_minimum(quantity, percent):
    assert bulk_percent(quantity) == percent


def test_bulk_discounts_apply_to_the_whole_line():
    assert bulk_discount(price_cents=200, quantity=30) == 600


def test_a_coupon_takes_its_percentage_off():
    assert Coupon("SPRING", percent=15).discount_on(2000) == 300


def test_a_coupon_never_takes_more_than_its_limit():
    assert Coupon("SPRING", percent=15, limit_cents=250).discount_on(2000) == 250


@pytest.mark.parametrize(("goods", "cost"), [(0, 495), (4999, 495), (5000, 0), (9000, 0)])
def test_shipping_is_free_from_fifty_on(goods, cost):
    assert shipping_cost(goods) == cost
