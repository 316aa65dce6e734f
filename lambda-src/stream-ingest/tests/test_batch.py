"""Tests of reading a batch."""

import unittest
from datetime import UTC, datetime

from support import ARRIVED_AT, batch, needs


@needs("pydantic")
class Batch(unittest.TestCase):
    """Batches of an event source mapping, and other events."""

    def read(self, event):
        from stream_ingest.batch import read

        return read(event)

    def refused(self, event):
        from stream_ingest.batch import MalformedEvent

        with self.assertRaises(MalformedEvent) as raised:
            self.read(event)
        return str(raised.exception)

    def test_records_are_decoded_in_order(self):
        first, second = self.read(batch(b"one", b"\xff"))
        self.assertEqual((first.shard, first.sequence_number, first.data), ("shardId-000000000006", "100", b"one"))
        self.assertEqual((second.sequence_number, second.data), ("101", b"\xff"))
        self.assertEqual(first.arrived_at, datetime.fromtimestamp(ARRIVED_AT, UTC))
        self.assertEqual(first.partition_key, "1")

    def test_empty_batch_is_accepted(self):
        self.assertEqual(self.read({"Records": []}), [])

    def test_event_that_is_not_a_batch_is_refused(self):
        for event in (None, [], "text", 7, {}, {"records": []}, {"Records": None}, {"Records": {}}, {"Records": [1]}):
            with self.subTest(event=event):
                self.assertIn("not a batch of Kinesis records", self.refused(event))

    def test_invalid_field_is_named(self):
        for field, value in (
            ("sequenceNumber", None),
            ("sequenceNumber", "../../raw"),
            ("data", "not base64!"),
            ("data", 7),
            ("approximateArrivalTimestamp", -1),
            ("approximateArrivalTimestamp", float("nan")),
            ("approximateArrivalTimestamp", 1e300),
            ("partitionKey", "k" * 257),
        ):
            with self.subTest(field=field, value=value):
                event = batch(b"one")
                event["Records"][0]["kinesis"][field] = value
                self.assertIn(f"Records.0.kinesis.{field}", self.refused(event))

    def test_other_sources_and_ids_with_path_segments_are_refused(self):
        for field, value in (("eventSource", "aws:sqs"), ("eventID", "../raw:1"), ("eventID", "1")):
            with self.subTest(field=field, value=value):
                event = batch(b"one")
                event["Records"][0][field] = value
                self.assertIn(f"Records.0.{field}", self.refused(event))

    def test_errors_contain_no_record_content(self):
        event = batch(b"one")
        event["Records"][0]["kinesis"]["data"] = "top secret!"
        self.assertNotIn("secret", self.refused(event))


if __name__ == "__main__":
    unittest.main()
