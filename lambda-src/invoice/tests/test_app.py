"""Tests of the handler; skipped where marshmallow is missing."""

import importlib.util
import unittest


@unittest.skipIf(importlib.util.find_spec("marshmallow") is None, "marshmallow is not installed")
class Events(unittest.TestCase):
    """Valid and malformed events."""

    def test_invoice_lines_are_added_up(self):
        from invoice.app import handle

        lines = [{"description": "Paper", "quantity": 3, "unit_price": "1.25"}]
        result = handle({"lines": lines, "tax_percent": "20"}, None)
        self.assertEqual(result, {"net": "3.75", "tax": "0.75", "total": "4.50"})

    def test_malformed_event_is_refused_naming_the_field(self):
        from invoice.app import handle
        from marshmallow import ValidationError

        line = {"description": "Paper", "quantity": 1, "unit_price": "1"}
        for event, field in (
            (None, "_schema"),
            ("text", "_schema"),
            (7, "_schema"),
            ([1], "_schema"),
            ({}, "lines"),
            ({"lines": []}, "lines"),
            ({"lines": "many"}, "lines"),
            ({"lines": [7]}, "lines"),
            ({"lines": [line | {"quantity": "many"}]}, "lines"),
            ({"lines": [line | {"quantity": 1.5}]}, "lines"),
            ({"lines": [line | {"unit_price": "NaN"}]}, "lines"),
            ({"lines": [line], "tax_percent": 101}, "tax_percent"),
            ({"lines": [line], "currency": "EUR"}, "currency"),
        ):
            with self.subTest(event=event):
                with self.assertRaises(ValidationError) as raised:
                    handle(event, None)
                messages = raised.exception.normalized_messages()
                self.assertEqual(list(messages), [field])


if __name__ == "__main__":
    unittest.main()
