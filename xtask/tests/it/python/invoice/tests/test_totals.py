"""Tests of the arithmetic, which needs nothing but Python."""

import unittest
from decimal import Decimal

from invoice.totals import totals


class Totals(unittest.TestCase):
    """Sums and their rounding."""

    def test_adds_lines_and_tax(self):
        lines = [(3, Decimal("1.25")), (1, Decimal("0.10"))]
        expected = {"net": Decimal("3.85"), "tax": Decimal("0.77"), "total": Decimal("4.62")}
        self.assertEqual(totals(lines, Decimal(20)), expected)

    def test_rounds_half_up_and_only_at_the_end(self):
        self.assertEqual(totals([(3, Decimal("0.335"))], Decimal(0))["net"], Decimal("1.01"))
        self.assertEqual(totals([(1, Decimal("0.125"))], Decimal(0))["net"], Decimal("0.13"))


if __name__ == "__main__":
    unittest.main()
