from datetime import date

from storefront.reports import (
    Sale,
    average_order_cents,
    best_sellers,
    revenue_by_month,
    revenue_cents,
    sales_between,
    units_by_product,
)

SALES = [
    Sale("A1", "TEA", 2, 900, date(2026, 1, 31)),
    Sale("A1", "POT", 1, 3200, date(2026, 1, 31)),
    Sale("A2", "TEA", 1, 450, date(2026, 2, 1)),
    Sale("A3", "CUPS", 6, 2400, date(2026, 2, 14)),
    Sale("A4", "MILK", 3, 330, date(2026, 3, 1)),
]


def test_a_period_includes_its_first_and_last_day():
    found = sales_between(SALES, date(2026, 2, 1), date(2026, 2, 14))
    assert [sale.order for sale in found] == ["A2", "A3"]


def test_revenue_is_the_sum_of_all_lines():
    assert revenue_cents(SALES) == 7280


def test_lines_of_one_order_count_as_one_in_the_average():
    assert average_order_cents(SALES[:2]) == 4100
    assert average_order_cents(SALES) == 1820


def test_orders_of_one_line_are_averaged_as_they_are():
    assert average_order_cents(SALES[2:]) == 1060


def test_without_orders_the_average_is_zero():
    assert average_order_cents([]) == 0


def test_units_of_a_product_add_up():
    assert units_by_product(SALES) == {"TEA": 3, "POT": 1, "CUPS": 6, "MILK": 3}


def test_best_sellers_break_ties_by_name():
    assert best_sellers(SALES) == ["CUPS", "MILK", "TEA"]


def test_months_are_reported_oldest_first():
    assert list(revenue_by_month(reversed(SALES)).items()) == [
        (date(2026, 1, 1), 4100),
        (date(2026, 2, 1), 2850),
        (date(2026, 3, 1), 330),
    ]
