"""Shared by the tests: batches as Lambda passes them to the handler, and the packages that a test needs."""

import base64
import importlib.util
import json
import os
import pathlib

ARRIVED_AT = 1795341600.25


def needs(*packages):
    """Skips the tests of a class where a package is missing, and lists them as `list_skip` says."""
    missing = [package for package in packages if importlib.util.find_spec(package) is None]

    def skip(test):
        reason = f"{', '.join(missing)} is not installed"
        list_skip(test.id(), reason)
        test.skipTest(reason)

    def decorate(case):
        if missing:
            case.setUpClass, case.setUp = classmethod(lambda cls: None), skip
        return case

    return decorate


def list_skip(test, missing):
    """Appends a line to this process's file in the folder that SLIPWAY_SKIPPED_TESTS names: `cargo xtask test` counts them.

    The file's format is that of tests/support/skip.rs in the repository.
    """
    folder = os.environ.get("SLIPWAY_SKIPPED_TESTS")
    if folder:
        path = pathlib.Path(folder, f"stream-ingest-{os.getpid()}")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(f"{test}\t{missing}\n")


def event(**changes):
    """Returns a valid event, with changes; a change to None removes the field."""
    valid = {
        "id": "order-1",
        "time": "2026-11-22T10:00:00Z",
        "source": "shop/orders",
        "subject": "ada@example.com",
        "payload": {"total": 4.5, "lines": [{"name": "Paper", "quantity": 3}]},
    }
    return {name: value for name, value in (valid | changes).items() if value is not None}


def data(content):
    """Returns a record's bytes."""
    return content if isinstance(content, bytes) else json.dumps(content).encode()


def batch(*contents, first=100):
    """Returns a batch like the one in https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html."""
    return {
        "Records": [
            {
                "kinesis": {
                    "kinesisSchemaVersion": "1.0",
                    "partitionKey": "1",
                    "sequenceNumber": str(first + index),
                    "data": base64.b64encode(data(content)).decode(),
                    "approximateArrivalTimestamp": ARRIVED_AT,
                },
                "eventSource": "aws:kinesis",
                "eventVersion": "1.0",
                "eventID": f"shardId-000000000006:{first + index}",
                "eventName": "aws:kinesis:record",
                "invokeIdentityArn": "arn:aws:iam::222222222222:role/ingest",
                "awsRegion": "eu-central-1",
                "eventSourceARN": "arn:aws:kinesis:eu-central-1:222222222222:stream/events",
            }
            for index, content in enumerate(contents)
        ]
    }
