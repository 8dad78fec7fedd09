import pytest

from storefront.cart import Cart
from storefront.discounts import Coupon
from storefront.pricing import Product

TEA = Product("TEA", "Green tea", 450, tax_class="reduced")
POT = Product("POT", "Teapot", 3200)


@pytest.fixture
def cart():
    return Cart()


def test_an_empty_cart_costs_nothing(cart):
    assert cart.total_cents() == 0


def test_more_of_the_same_product_joins_its_line(cart):
    cart.add(TEA, 2)
    cart.add(TEA)
    assert [line.quantity for line in cart.lines] == [3]


def test_a_quantity_is_at_least_one(cart):
    with pytest.raises(ValueError, match="at least one"):
        cart.add(TEA, 0)


def test_removed_products_are_not_charged(cart):
    cart.add(TEA)
    cart.add(POT)
    cart.remove("POT")
    assert cart.goods_cents() == 450


def test_small_orders_pay_tax_and_shipping(cart):
    cart.add(TEA, 2)
    assert cart.total_cents() == 900 + 45 + 495


def test_large_orders_ship_free(cart):
    cart.add(POT, 2)
    assert cart.total_cents() == 6400 + 1280


def test_ten_of_a_product_earn_the_bulk_price(cart):
    cart.add(TEA, 10)
    assert cart.goods_cents() == 4275


def test_coupons_apply_after_bulk_discounts(cart):
    cart.add(TEA, 12)
    cart.coupon = Coupon("SPRING", percent=10)
    assert cart.goods_cents() == 5130 - 513
