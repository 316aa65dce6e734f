"""Tests of the validation of a record."""

import json
import unittest
from datetime import UTC, datetime

from support import data, event, needs


@needs("pydantic")
class Parsing(unittest.TestCase):
    """Valid and invalid events."""

    def parse(self, content):
        from stream_ingest.event import parse

        return parse(data(content))

    def refused(self, content):
        from stream_ingest.event import Rejected

        with self.assertRaises(Rejected) as raised:
            self.parse(content)
        self.assertEqual(len(raised.exception.reasons), len(raised.exception.codes))
        return raised.exception

    def test_valid_event_is_parsed(self):
        parsed = self.parse(event())
        self.assertEqual((parsed.id, parsed.source, parsed.subject), ("order-1", "shop/orders", "ada@example.com"))
        self.assertEqual(parsed.time, datetime(2026, 11, 22, 10, tzinfo=UTC))
        self.assertEqual(parsed.payload["lines"], [{"name": "Paper", "quantity": 3}])
        self.assertIsNone(self.parse(event(subject=None)).subject)

    def test_times_are_converted_to_utc(self):
        self.assertEqual(self.parse(event(time="2026-11-22T00:30:00+01:00")).time.isoformat(), "2026-11-21T23:30:00+00:00")

    def test_invalid_field_is_refused(self):
        for field, value in (
            ("id", ""),
            ("id", "../order"),
            ("id", "a" * 129),
            ("id", 7),
            ("time", "2026-11-22T10:00:00"),
            ("time", "yesterday"),
            ("time", 1795341600),
            ("time", "0001-01-01T00:00:00+01:00"),
            ("source", "a b"),
            ("source", ["shop"]),
            ("subject", ""),
            ("subject", "s" * 257),
            ("payload", "text"),
            ("payload", [1]),
            ("payload", {"text": "x" * (128 * 1024)}),
        ):
            with self.subTest(field=field, value=str(value)[:40]):
                codes = self.refused(event(**{field: value})).codes
                self.assertEqual([code.split(":")[0] for code in codes], [field])

    def test_missing_fields_are_refused(self):
        self.assertEqual(
            self.refused({}).codes, ["id: missing", "time: missing", "source: missing", "payload: missing"]
        )

    def test_unknown_field_is_refused_without_logging_its_name(self):
        rejected = self.refused(event(**{"card-4111111111111111": 1}))
        self.assertEqual(rejected.codes, ["unknown field: extra_forbidden"])
        self.assertIn("card-4111111111111111", rejected.reasons[0])

    def test_record_that_is_not_a_json_object_is_refused(self):
        for content in (b"", b"{", b"\xff\xfe", b"[]", b"7", b"null", b'"text"', b"[" * 100_000):
            with self.subTest(content=content[:10]):
                self.assertTrue(self.refused(content).codes[0].startswith("record: "))

    def test_numbers_outside_of_json_are_refused(self):
        for number in ("NaN", "Infinity", "-Infinity"):
            with self.subTest(number=number):
                text = json.dumps(event()).replace("4.5", number)
                self.assertTrue(self.refused(text.encode()).codes)

    def test_lone_surrogate_is_refused(self):
        self.assertTrue(self.refused(event(payload={"text": "\ud800"})).codes)

    def test_large_record_is_refused_before_it_is_parsed(self):
        self.assertEqual(self.refused(b" " * (256 * 1024 + 1)).codes, ["record: too_large"])

    def test_number_of_reported_reasons_is_limited(self):
        self.assertEqual(len(self.refused({f"unknown-{n}": n for n in range(1000)}).reasons), 10)

    def test_codes_contain_no_record_content(self):
        codes = self.refused(event(id="ada lovelace", source="ada lovelace", time="ada lovelace")).codes
        self.assertNotIn("ada", " ".join(codes))


@needs("pydantic")
class Encoding(unittest.TestCase):
    """The encoding of a payload."""

    def test_encoding_does_not_depend_on_the_order_of_keys(self):
        from stream_ingest.event import encode

        self.assertEqual(encode({"b": [1, None], "a": "ü"}), '{"a":"ü","b":[1,null]}')
        self.assertEqual(encode({"a": 1, "b": 2}), encode({"b": 2, "a": 1}))


if __name__ == "__main__":
    unittest.main()
