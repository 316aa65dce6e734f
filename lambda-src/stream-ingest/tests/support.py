"""What the tests share: batches as Lambda hands them over, and the packages without which a test cannot run."""

import base64
import importlib.util
import json
import unittest

ARRIVED_AT = 1795341600.25


def needs(*packages):
    """Leaves a test case out, saying so, where a package is missing."""
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    return unittest.skipIf(missing, f"needs {', '.join(missing)}")


def event(**changes):
    """Returns a valid event, with changes; a change to None takes the field away."""
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
    """Returns a batch as https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html shows it."""
    return {
        "Records": [
            {
                "kinesis": {
                    "kinesisSchemaVersion": "1.0",
                    "partitionKey": "1",
                    "sequenceNumber": str(first + place),
                    "data": base64.b64encode(data(content)).decode(),
                    "approximateArrivalTimestamp": ARRIVED_AT,
                },
                "eventSource": "aws:kinesis",
                "eventVersion": "1.0",
                "eventID": f"shardId-000000000006:{first + place}",
                "eventName": "aws:kinesis:record",
                "invokeIdentityArn": "arn:aws:iam::222222222222:role/ingest",
                "awsRegion": "eu-central-1",
                "eventSourceARN": "arn:aws:kinesis:eu-central-1:222222222222:stream/events",
            }
            for place, content in enumerate(contents)
        ]
    }
