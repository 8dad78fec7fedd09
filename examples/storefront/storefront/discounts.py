"""Discounts: bulk prices, coupons and free shipping."""

from dataclasses import dataclass

from storefront.pricing import round_cents

BULK_TIERS = ((50, 15), (20, 10), (10, 5))
"""From how many units of a product how many percent are taken off, the largest first."""

FREE_SHIPPING_FROM_CENTS = 5000
SHIPPING_CENTS = 495


@dataclass(frozen=True)
class Coupon:
    """A code that takes a percentage off, up to a limit."""

    code: str
    percent: int
    limit_cents: int | None = None

    def discount_on(self, amount_cents):
        """Return what the coupon takes off an amount."""
        discount = round_cents(amount_cents * self.percent / 100)
        if self.limit_cents is not None:
            discount = min(discount, self.limit_cents)
        return discount


def bulk_percent(quantity):
    """Return the percentage that a quantity of one product earns."""
    for minimum, percent in BULK_TIERS:
        if quantity > minimum:
            return percent
    return 0


def bulk_discount(price_cents, quantity):
    """Return what a quantity takes off the price of a line."""
    return round_cents(price_cents * quantity * bulk_percent(quantity) / 100)


def shipping_cost(goods_cents):
    """Return what shipping costs for goods of some value."""
    return 0 if goods_cents >= FREE_SHIPPING_FROM_CENTS else SHIPPING_CENTS
