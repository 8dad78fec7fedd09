"""Prices: products, tax and how amounts are written."""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

TAX_RATES = {"standard": Decimal("0.20"), "reduced": Decimal("0.05"), "exempt": Decimal("0")}


@dataclass(frozen=True)
class Product:
    """Something the shop sells, at a price in cents before tax."""

    sku: str
    name: str
    price_cents: int
    tax_class: str = "standard"

    def __post_init__(self):
        if self.price_cents < 0:
            raise ValueError(f"{self.sku}: a price cannot be negative")
        if self.tax_class not in TAX_RATES:
            raise ValueError(f"{self.sku}: unknown tax class {self.tax_class!r}")


def round_cents(amount):
    """Round a fraction of a cent half up, as invoices do."""
    return int(Decimal(amount).quantize(Decimal(1), rounding=ROUND_HALF_UP))


def tax_on(amount_cents, tax_class):
    """Return the tax on an amount, in cents."""
    return round_cents(amount_cents * TAX_RATES[tax_class])


def format_cents(amount_cents):
    """Write an amount as customers read it: 123456 becomes 1,234.56."""
    sign = "-" if amount_cents < 0 else ""
    units, cents = divmod(abs(amount_cents), 100)
    return f"{sign}{units:,}.{cents:02d}"
