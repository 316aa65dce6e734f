"""Tests of the arithmetic, which needs only Python."""

import unittest
from decimal import Decimal

from invoice.totals import totals


class Totals(unittest.TestCase):
    """Sums and their rounding."""

    def test_totals_include_lines_and_tax(self):
        lines = [(3, Decimal("1.25")), (1, Decimal("0.10"))]
        expected = {"net": Decimal("3.85"), "tax": Decimal("0.77"), "total": Decimal("4.62")}
        self.assertEqual(totals(lines, Decimal(20)), expected)

    def test_totals_are_rounded_half_up_only_at_the_end(self):
        self.assertEqual(totals([(3, Decimal("0.335"))], Decimal(0))["net"], Decimal("1.01"))
        self.assertEqual(totals([(1, Decimal("0.125"))], Decimal(0))["net"], Decimal("0.13"))


if __name__ == "__main__":
    unittest.main()
