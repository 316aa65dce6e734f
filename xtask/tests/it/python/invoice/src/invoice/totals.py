"""Amounts of money: decimal throughout, rounded half up to cents once, at the end of each sum."""

from decimal import ROUND_HALF_UP, Decimal

CENT = Decimal("0.01")


def cents(amount):
    """Rounds an amount to cents."""
    return amount.quantize(CENT, ROUND_HALF_UP)


def totals(lines, tax_percent):
    """Returns net, tax and total of (quantity, unit price) pairs."""
    net = cents(sum((quantity * price for quantity, price in lines), Decimal()))
    tax = cents(net * tax_percent / 100)
    return {"net": net, "tax": tax, "total": net + tax}
