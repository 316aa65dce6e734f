"""Tests of the handler."""

import contextlib
import io
import json
import os
import unittest
from types import SimpleNamespace
from unittest import mock

from marshmallow import ValidationError

from invoice.app import handle

LINE = {"description": "Paper", "quantity": 1, "unit_price": "1"}
CONTEXT = SimpleNamespace(aws_request_id="8476a536-e9f4-11e8-9739-2dfe598c3fcd")


def call(event):
    """Returns the response, or what was raised, and the log lines."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        try:
            result = handle(event, CONTEXT)
        except Exception as error:
            result = error
    return result, [json.loads(line) for line in output.getvalue().splitlines()]


class Events(unittest.TestCase):
    """Valid and malformed events."""

    def test_invoice_lines_are_added_up(self):
        lines = [{"description": "Paper", "quantity": 3, "unit_price": "1.25"}]
        result, _ = call({"lines": lines, "tax_percent": "20"})
        self.assertEqual(result, {"net": "3.75", "tax": "0.75", "total": "4.50"})

    def test_largest_invoice_is_exact(self):
        line = {"description": "All of it", "quantity": 1_000_000, "unit_price": "999999999.999999"}
        result, _ = call({"lines": [line] * 1_000, "tax_percent": "19.1234"})
        self.assertEqual(result["net"], "999999999999999000.00")
        self.assertEqual(result["tax"], "191233999999999808.77")
        self.assertEqual(result["total"], "1191233999999998808.77")

    def test_malformed_event_is_refused_naming_the_field(self):
        for event, field in (
            (None, "_schema"),
            ("text", "_schema"),
            (7, "_schema"),
            ([1], "_schema"),
            ({}, "lines"),
            ({"lines": []}, "lines"),
            ({"lines": "many"}, "lines"),
            ({"lines": [7]}, "lines"),
            ({"lines": [LINE] * 1_001}, "lines"),
            ({"lines": [LINE | {"quantity": "many"}]}, "lines"),
            ({"lines": [LINE | {"quantity": 1.5}]}, "lines"),
            ({"lines": [LINE | {"quantity": 10**40}]}, "lines"),
            ({"lines": [LINE | {"unit_price": "NaN"}]}, "lines"),
            ({"lines": [LINE | {"unit_price": "Infinity"}]}, "lines"),
            ({"lines": [LINE | {"unit_price": "1e30"}]}, "lines"),
            ({"lines": [LINE | {"unit_price": "1e999999999"}]}, "lines"),
            ({"lines": [LINE | {"unit_price": 1e30}]}, "lines"),
            ({"lines": [LINE | {"unit_price": "0.0000001"}]}, "lines"),
            ({"lines": [LINE | {"unit_price": "1e-999999"}]}, "lines"),
            ({"lines": [LINE | {"unit_price": "9" * 40}]}, "lines"),
            ({"lines": [LINE], "tax_percent": 101}, "tax_percent"),
            ({"lines": [LINE], "tax_percent": "0.00001"}, "tax_percent"),
            ({"lines": [LINE], "currency": "EUR"}, "currency"),
        ):
            with self.subTest(event=str(event)[:100]):
                raised, _ = call(event)
                self.assertIsInstance(raised, ValidationError)
                self.assertEqual(list(raised.normalized_messages()), [field])

    def test_numbers_are_taken_however_they_are_written(self):
        for price in ("1.10", "1.1000000000", "11e-1", 1.1, "+1.1"):
            with self.subTest(price=price):
                result, _ = call({"lines": [LINE | {"unit_price": price}]})
                self.assertEqual(result["net"], "1.10")


class Log(unittest.TestCase):
    """What a call leaves in the log."""

    def test_every_call_has_one_line_with_its_request_and_nothing_of_the_invoice(self):
        for event, level, message in (
            ({"lines": [LINE]}, "INFO", "invoice added up"),
            ({"lines": [LINE], "Paper": 1}, "WARN", "invoice refused"),
        ):
            with self.subTest(message):
                _, lines = call(event)
                self.assertEqual(len(lines), 1, lines)
                self.assertEqual((lines[0]["level"], lines[0]["message"]), (level, message))
                self.assertEqual(lines[0]["requestId"], CONTEXT.aws_request_id)
                self.assertNotIn("Paper", str(lines))

    def test_level_of_the_function_is_obeyed(self):
        # Lambda's own setting is the stronger one; it is missing where the stack sets none.
        for variables, lines in (
            ({"AWS_LAMBDA_LOG_LEVEL": "WARN"}, 0),
            ({"LOG_LEVEL": "WARN"}, 0),
            ({"LOG_LEVEL": "WARN", "AWS_LAMBDA_LOG_LEVEL": "INFO"}, 1),
        ):
            with self.subTest(variables), mock.patch.dict(os.environ, variables):
                self.assertEqual(len(call({"lines": [LINE]})[1]), lines)
                self.assertEqual(len(call({})[1]), 1)


if __name__ == "__main__":
    unittest.main()
