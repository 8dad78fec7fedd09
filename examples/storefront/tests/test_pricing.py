import pytest

from storefront.pricing import Product, format_cents, round_cents, tax_on


@pytest.mark.parametrize(("amount", "cents"), [("1.4", 1), ("1.5", 2), ("2.5", 3), ("-0.4", 0)])
def test_half_a_cent_is_rounded_up(amount, cents):
    assert round_cents(amount) == cents


@pytest.mark.parametrize(("tax_class", "tax"), [("standard", 200), ("reduced", 50), ("exempt", 0)])
def test_tax_depends_on_the_class_of_the_product(tax_class, tax):
    assert tax_on(1000, tax_class) == tax


def test_prices_cannot_be_negative():
    with pytest.raises(ValueError, match="negative"):
        Product("TEA", "Tea", -1)


def test_tax_classes_are_a_closed_list():
    with pytest.raises(ValueError, match="unknown tax class"):
        Product("TEA", "Tea", 450, tax_class="luxury")


@pytest.mark.parametrize(
    ("cents", "text"), [(0, "0.00"), (5, "0.05"), (123456, "1,234.56"), (-250, "-2.50")]
)
def test_amounts_are_written_with_two_decimals(cents, text):
    assert format_cents(cents) == text
