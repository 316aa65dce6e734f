"""Tests of the handler against emulated AWS, in a server of this process, with table, bucket and secret."""

import contextlib
import io
import json
import logging
import os
import unittest
from unittest import mock

from support import batch, data, event, needs

KEY = "0123456789abcdef0123456789abcdef"
REGION = "eu-central-1"
# The only AWS variables that the tests see: credentials of the machine are not used.
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
    "TABLE_NAME": "events",
    "BUCKET_NAME": "records",
}


class Context:
    """The context of a call: an id, and the remaining time."""

    aws_request_id = "request-1"
    function_name = "shop-stream-ingest"

    def __init__(self, remaining=30_000):
        self.remaining = remaining

    def get_remaining_time_in_millis(self):
        return self.remaining


@needs("pydantic", "boto3", "moto", "flask")
class Ingesting(unittest.TestCase):
    """Batches that become items and objects."""

    @classmethod
    def setUpClass(cls):
        from moto.server import ThreadedMotoServer

        # Only errors: a log line for each response would hide the output of the tests.
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        cls.server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        cls.server.start()
        cls.addClassCleanup(cls.server.stop)
        host, port = cls.server.get_host_and_port()
        cls.endpoint = f"http://{host}:{port}"

    def setUp(self):
        import boto3
        from stream_ingest import app

        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        patched = mock.patch.dict(os.environ, kept | ENVIRONMENT | {"AWS_ENDPOINT_URL": self.endpoint}, clear=True)
        patched.start()
        self.addCleanup(patched.stop)
        self.dynamodb = boto3.client("dynamodb", region_name=REGION)
        self.s3 = boto3.client("s3", region_name=REGION)
        self.secrets = boto3.client("secretsmanager", region_name=REGION)
        self.dynamodb.create_table(
            TableName="events",
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        )
        self.make_bucket()
        self.secret = self.secrets.create_secret(Name="pseudonym-key", SecretString=KEY)["ARN"]
        os.environ["SECRET_ARN"] = self.secret
        self.app = app
        self.new_instance()
        self.addCleanup(self.reset_emulator)

    def make_bucket(self):
        self.s3.create_bucket(Bucket="records", CreateBucketConfiguration={"LocationConstraint": REGION})
        self.s3.put_bucket_versioning(Bucket="records", VersioningConfiguration={"Status": "Enabled"})

    def new_instance(self):
        """Clears what an instance of the function caches from call to call."""
        self.app._store.cache_clear()
        self.app._pseudonyms.cache_clear()

    def reset_emulator(self):
        import urllib.request

        urllib.request.urlopen(urllib.request.Request(f"{self.endpoint}/moto-api/reset", method="POST")).close()

    def handle(self, event, context=None):
        """Calls the handler; returns its result and its log, and keeps its metrics."""
        with contextlib.redirect_stdout(io.StringIO()) as output:
            result = self.app.handle(event, context or Context())
        lines = [json.loads(line) for line in output.getvalue().splitlines()]
        self.metrics = [line for line in lines if "_aws" in line]
        return result, [line for line in lines if "_aws" not in line]

    def items(self):
        return {item["id"]["S"]: item for item in self.dynamodb.scan(TableName="events")["Items"]}

    def objects(self):
        keys = [entry["Key"] for entry in self.s3.list_objects_v2(Bucket="records").get("Contents", [])]
        return {key: self.s3.get_object(Bucket="records", Key=key)["Body"].read() for key in keys}

    def versions(self):
        return len(self.s3.list_object_versions(Bucket="records").get("Versions", []))

    def test_events_are_written_to_table_and_bucket(self):
        first, second = event(), event(id="order-2", subject=None, time="2026-11-23T00:30:00+01:00")
        result, log = self.handle(batch(first, second))
        self.assertEqual(result, {"batchItemFailures": []})
        items = self.items()
        self.assertEqual(sorted(items), ["order-1", "order-2"])
        self.assertEqual(
            {name: value["S"] for name, value in items["order-1"].items()},
            {
                "id": "order-1",
                "time": "2026-11-22T10:00:00+00:00",
                "source": "shop/orders",
                # echo -n ada@example.com | openssl dgst -sha256 -hmac <KEY>
                "subject": "e3e30b4d50224a4ba14084607085d072402144212a122eb4501daddd6bbe0ee3",
                "payload": '{"lines":[{"name":"Paper","quantity":3}],"total":4.5}',
                "raw_key": "raw/2026/11/22/order-1.json",
            },
        )
        self.assertNotIn("subject", items["order-2"])
        self.assertEqual(
            self.objects(),
            {"raw/2026/11/22/order-1.json": data(first), "raw/2026/11/22/order-2.json": data(second)},
        )
        self.assertEqual(len(log), 1)
        self.assertEqual(
            {name: log[0][name] for name in ("level", "message", "requestId", "records", "new", "failed")},
            {"level": "INFO", "message": "batch ingested", "requestId": "request-1", "records": 2, "new": 2, "failed": 0},
        )

    def test_repeated_record_is_not_an_error(self):
        self.handle(batch(event()))
        before = self.items()
        result, log = self.handle(batch(event(), event()))
        self.assertEqual(result, {"batchItemFailures": []})
        self.assertEqual((log[0]["new"], log[0]["duplicate"]), (0, 2))
        self.assertEqual(self.items(), before)
        self.assertEqual(self.versions(), 1)

    def test_known_id_with_other_content_is_rejected_and_changes_nothing(self):
        self.handle(batch(event()))
        before = self.items()
        result, log = self.handle(batch(event(payload={"total": 5}), first=200))
        self.assertEqual(result, {"batchItemFailures": []})
        self.assertEqual(log[0]["reasons"], ["id: taken"])
        self.assertEqual(self.items(), before)
        objects = self.objects()
        self.assertEqual(objects["raw/2026/11/22/order-1.json"], data(event()))
        self.assertIn("rejected/2026/11/22/shardId-000000000006/200.json", objects)

    def test_new_pseudonym_key_does_not_make_an_event_new(self):
        self.handle(batch(event()))
        self.secrets.put_secret_value(SecretId=self.secret, SecretString=KEY[::-1])
        self.new_instance()
        _, log = self.handle(batch(event()))
        self.assertEqual(log[0]["duplicate"], 1)

    def test_invalid_records_are_stored_as_rejected(self):
        result, log = self.handle(batch(b"not json: ada@example.com", event(), event(id="../x")))
        self.assertEqual(result, {"batchItemFailures": []})
        self.assertEqual(list(self.items()), ["order-1"])
        rejected = json.loads(self.objects()["rejected/2026/11/22/shardId-000000000006/100.json"])
        self.assertEqual(rejected["data"], "bm90IGpzb246IGFkYUBleGFtcGxlLmNvbQ==")
        self.assertEqual((rejected["sequence_number"], rejected["partition_key"]), ("100", "1"))
        self.assertEqual(rejected["arrived_at"], "2026-11-22T10:00:00.250000+00:00")
        self.assertIn("Invalid JSON", rejected["reasons"][0])
        lines = {line["sequence_number"]: line for line in log if line["message"] == "record rejected"}
        self.assertEqual(
            {number: line["reasons"] for number, line in lines.items()},
            {"100": ["record: json_invalid"], "102": ["id: string_pattern_mismatch"]},
        )
        self.assertEqual(log[-1]["rejected"], 2)
        self.assertNotIn("ada", json.dumps(log))

    def test_repeated_rejected_record_is_not_an_error(self):
        self.handle(batch(b"{"))
        result, _ = self.handle(batch(b"{"))
        self.assertEqual(result, {"batchItemFailures": []})
        self.assertEqual(self.versions(), 1)

    def test_failed_writes_are_retried_until_complete(self):
        self.s3.delete_bucket(Bucket="records")
        result, log = self.handle(batch(event()))
        self.assertEqual(result, {"batchItemFailures": [{"itemIdentifier": "100"}]})
        self.assertEqual((log[0]["level"], log[0]["failed"]), ("ERROR", 1))
        self.assertEqual(log[0]["first_error"], "PutObject: NoSuchBucket")
        self.make_bucket()
        result, log = self.handle(batch(event()))
        self.assertEqual(result, {"batchItemFailures": []})
        self.assertEqual(log[0]["duplicate"], 1)
        self.assertEqual(list(self.objects()), ["raw/2026/11/22/order-1.json"])

    def test_unwritten_rejection_is_retried(self):
        self.s3.delete_bucket(Bucket="records")
        result, _ = self.handle(batch(b"{"))
        self.assertEqual(result, {"batchItemFailures": [{"itemIdentifier": "100"}]})

    def test_only_failed_records_are_returned(self):
        # Only one record's table exists; with one writer, so that the order is certain.
        store = self.app._store(self.app._settings())
        accept = store.accept

        def without_table(event, record, pseudonyms):
            store._table = "events" if event.id == "order-1" else "gone"
            return accept(event, record, pseudonyms)

        with mock.patch.object(store, "accept", without_table), mock.patch.object(self.app, "WRITERS", 1):
            result, log = self.handle(batch(event(), event(id="order-2"), event(id="order-3")))
        self.assertEqual(result, {"batchItemFailures": [{"itemIdentifier": "101"}, {"itemIdentifier": "102"}]})
        self.assertEqual((log[0]["new"], log[0]["failed"], log[0]["untried"]), (1, 1, 1))
        self.assertEqual(log[0]["first_error"], "PutItem: ResourceNotFoundException")

    def test_handler_stops_before_its_timeout(self):
        result, log = self.handle(batch(event()), Context(remaining=2_999))
        self.assertEqual(result, {"batchItemFailures": [{"itemIdentifier": "100"}]})
        self.assertEqual(log[0]["untried"], 1)
        self.assertEqual(self.items(), {})

    def test_full_batch_is_written(self):
        result, log = self.handle(batch(*(event(id=f"order-{n}") for n in range(100))))
        self.assertEqual((result, log[0]["new"]), ({"batchItemFailures": []}, 100))
        self.assertEqual(len(self.items()), 100)

    def test_batch_is_measured(self):
        self.handle(batch(event(), b"{"))
        [line] = self.metrics
        directive = line["_aws"]["CloudWatchMetrics"][0]
        self.assertEqual((directive["Namespace"], directive["Dimensions"]), ("StreamIngest", [["FunctionName"]]))
        self.assertEqual(line["FunctionName"], "shop-stream-ingest")
        names = [metric["Name"] for metric in directive["Metrics"]]
        self.assertEqual({name: line[name] for name in names}, {"New": 1, "Duplicate": 0, "Rejected": 1, "Failed": 0, "Untried": 0})

    def test_secret_is_not_read_for_each_batch(self):
        self.handle(batch(event()))
        self.secrets.delete_secret(SecretId=self.secret, ForceDeleteWithoutRecovery=True)
        result, _ = self.handle(batch(event(id="order-2")))
        self.assertEqual(result, {"batchItemFailures": []})
        self.assertIn("order-2", self.items())

    def test_new_key_is_used_after_some_minutes(self):
        from stream_ingest import pseudonym

        now = [0.0]
        keys = pseudonym.Renewed(lambda: pseudonym.read(self.secrets, self.secret), lambda: now[0])
        told = []
        old = keys.current(told.append).of("ada")
        self.secrets.put_secret_value(SecretId=self.secret, SecretString=KEY[::-1])
        now[0] = pseudonym.KEEP_SECONDS - 1
        self.assertEqual(keys.current(told.append).of("ada"), old)
        now[0] = pseudonym.KEEP_SECONDS
        new = keys.current(told.append).of("ada")
        self.assertEqual(new, pseudonym.Pseudonyms(KEY[::-1].encode()).of("ada"))
        self.assertEqual(told, [])

    def test_known_key_is_used_for_a_while_when_secrets_manager_does_not_answer(self):
        from stream_ingest import pseudonym

        now, answers = [0.0], [pseudonym.Pseudonyms(KEY.encode())]

        def read():
            if isinstance(answers[-1], Exception):
                raise answers[-1]
            return answers[-1]

        keys, told = pseudonym.Renewed(read, lambda: now[0]), []
        known = keys.current(told.append)
        answers.append(pseudonym.KeyUnavailable("no answer", is_lasting=False))
        now[0] = pseudonym.STALE_SECONDS - 1
        self.assertIs(keys.current(told.append), known)
        self.assertEqual(len(told), 1)
        self.assertIs(keys.current(told.append), known)
        self.assertEqual(len(told), 1, "it is asked again after a while, not for each batch")
        now[0] = pseudonym.STALE_SECONDS - 1 + pseudonym.AGAIN_SECONDS
        with self.assertRaisesRegex(pseudonym.KeyUnavailable, "no answer"):
            keys.current(told.append)

    def test_key_that_was_taken_away_is_not_used_any_longer(self):
        from stream_ingest import pseudonym

        now = [0.0]
        keys = pseudonym.Renewed(lambda: pseudonym.read(self.secrets, self.secret), lambda: now[0])
        keys.current(lambda error: None)
        self.secrets.delete_secret(SecretId=self.secret, ForceDeleteWithoutRecovery=True)
        now[0] = pseudonym.KEEP_SECONDS
        with self.assertRaisesRegex(pseudonym.KeyUnavailable, "ResourceNotFoundException"):
            keys.current(lambda error: self.fail(str(error)))

    def test_missing_secret_is_named_and_read_again(self):
        from stream_ingest.pseudonym import KeyUnavailable

        os.environ["SECRET_ARN"] = "pseudonym-key-2"
        with self.assertRaisesRegex(KeyUnavailable, "ResourceNotFoundException for the secret pseudonym-key-2"):
            self.handle(batch(event()))
        self.assertEqual(self.items(), {})
        self.secrets.create_secret(Name="pseudonym-key-2", SecretString=KEY)
        self.assertEqual(self.handle(batch(event()))[0], {"batchItemFailures": []})

    def test_short_key_is_refused_without_revealing_it(self):
        from stream_ingest.pseudonym import KeyUnavailable

        self.secrets.put_secret_value(SecretId=self.secret, SecretString="hunter2")
        with self.assertRaisesRegex(KeyUnavailable, "holds 7 bytes") as raised:
            self.handle(batch(event()))
        self.assertNotIn("hunter2", str(raised.exception))

    def test_empty_batch_needs_no_secret(self):
        os.environ["SECRET_ARN"] = "not-there"
        result, log = self.handle(batch())
        self.assertEqual((result, log[0]["records"]), ({"batchItemFailures": []}, 0))

    def test_missing_settings_are_named(self):
        del os.environ["TABLE_NAME"], os.environ["SECRET_ARN"]
        with self.assertRaisesRegex(self.app.ConfigurationError, "lacks TABLE_NAME, SECRET_ARN"):
            self.handle(batch())

    def test_malformed_event_writes_nothing(self):
        from stream_ingest.batch import MalformedEvent

        with self.assertRaises(MalformedEvent):
            self.handle({"Records": [*batch(event())["Records"], {}]})
        self.assertEqual(self.items(), {})


if __name__ == "__main__":
    unittest.main()
