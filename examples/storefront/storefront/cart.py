"""Carts: what a customer is about to buy, and what it comes to."""

from dataclasses import dataclass

from storefront.discounts import bulk_discount, shipping_cost
from storefront.pricing import tax_on


@dataclass
class CartLine:
    """Some units of one product."""

    product: object
    quantity: int

    @property
    def net_cents(self):
        """The price before tax with the bulk discount taken off."""
        full = self.product.price_cents * self.quantity
        return full - bulk_discount(self.product.price_cents, self.quantity)

    @property
    def tax_cents(self):
        """The tax on the discounted price."""
        return tax_on(self.net_cents, self.product.tax_class)


class Cart:
    """Lines by SKU, at most one coupon."""

    def __init__(self):
        self._lines = {}
        self.coupon = None

    @property
    def lines(self):
        """The lines in the order they were added."""
        return list(self._lines.values())

    def add(self, product, quantity=1):
        """Put units of a product in; more of the same join its line."""
        if quantity <= 0:
            raise ValueError("a quantity is at least one")
        line = self._lines.get(product.sku)
        if line is None:
            self._lines[product.sku] = CartLine(product, quantity)
        else:
            line.quantity += quantity

    def remove(self, sku):
        """Take a product out; it need not be in."""
        self._lines.pop(sku, None)

    def goods_cents(self):
        """Return the value of the goods after discounts, before tax and shipping."""
        total = sum(line.net_cents for line in self.lines)
        if self.coupon is not None:
            total -= self.coupon.discount_on(total)
        return total

    def total_cents(self):
        """Return what the customer pays."""
        if not self._lines:
            return 0
        goods = self.goods_cents()
        tax = sum(line.tax_cents for line in self.lines)
        return goods + tax + shipping_cost(goods)
