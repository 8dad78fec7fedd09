"""Reports: what was sold, in which period, and what sold best."""

from collections import Counter
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class Sale:
    """One line of a paid order."""

    order: str
    sku: str
    quantity: int
    amount_cents: int
    day: date


def sales_between(sales, first, last):
    """Return the sales of a period, its first and last day included."""
    return [sale for sale in sales if first <= sale.day <= last]


def revenue_cents(sales):
    """Return what sales brought in."""
    return sum(sale.amount_cents for sale in sales)


def average_order_cents(sales):
    """Return what an order brings in on average; an order may have several lines."""
    orders = {sale.order for sale in sales}
    if not orders:
        return 0
    return revenue_cents(sales) // len(sales)


def units_by_product(sales):
    """Return how many units of each product were sold."""
    units = Counter()
    for sale in sales:
        units[sale.sku] += sale.quantity
    return units


def best_sellers(sales, count=3):
    """Return the products that sold the most units, ties in alphabetical order."""
    ranked = sorted(units_by_product(sales).items(), key=lambda item: (-item[1], item[0]))
    return [sku for sku, _ in ranked[:count]]


def revenue_by_month(sales):
    """Return the revenue of each month, by the first day of the month, oldest first."""
    months = {}
    for sale in sales:
        month = sale.day.replace(day=1)
        months[month] = months.get(month, 0) + sale.amount_cents
    return dict(sorted(months.items()))
