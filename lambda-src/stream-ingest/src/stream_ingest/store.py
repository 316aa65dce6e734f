"""Where events go: a DynamoDB table, and an S3 bucket for records as they came.

All writes may be repeated: what is there already is compared, never written over. Goes wrong: botocore's errors, after
its own few attempts; the caller has the record sent again.
"""

import base64
import json
from datetime import datetime
from enum import Enum

from botocore.config import Config
from botocore.exceptions import ClientError

from stream_ingest.batch import StreamRecord
from stream_ingest.event import Event, Rejected, encode
from stream_ingest.pseudonym import Pseudonyms

# Records are written side by side: each waits for two answers and little else.
WRITERS = 8

# A write that hangs must not use up the function's time: the stream sends the record again.
CLIENT_CONFIG = Config(
    connect_timeout=2,
    read_timeout=5,
    max_pool_connections=WRITERS,
    retries={"mode": "standard", "total_max_attempts": 3},
)


class Written(Enum):
    """What became of an event."""

    NEW = "new"
    DUPLICATE = "duplicate"


class Store:
    """One table and one bucket."""

    def __init__(self, dynamodb, s3, table: str, bucket: str):
        self._dynamodb = dynamodb
        self._s3 = s3
        self._table = table
        self._bucket = bucket

    def accept(self, event: Event, record: StreamRecord, pseudonyms: Pseudonyms) -> Written:
        """Writes an event and its raw record; raises Rejected where the id belongs to another event."""
        key = f"raw/{_day(event.time)}/{event.id}.json"
        item = {
            "id": {"S": event.id},
            "time": {"S": event.time.isoformat()},
            "source": {"S": event.source},
            "payload": {"S": encode(event.payload)},
            "raw_key": {"S": key},
        }
        if event.subject is not None:
            item["subject"] = {"S": pseudonyms.of(event.subject)}
        # The table first: it decides whose the id is, and an id's raw record is written under that id.
        written = self._put_item(item)
        self._put_object(key, record.data)
        return written

    def reject(self, record: StreamRecord, reasons: list[str]) -> None:
        """Puts a record that can never be valid aside, with the reasons."""
        body = {
            "reasons": reasons,
            "shard": record.shard,
            "sequence_number": record.sequence_number,
            "partition_key": record.partition_key,
            "arrived_at": record.arrived_at.isoformat(),
            "data": base64.b64encode(record.data).decode(),
        }
        # Dated by its arrival: nothing that the record says of itself can be believed.
        key = f"rejected/{_day(record.arrived_at)}/{record.shard}/{record.sequence_number}.json"
        self._put_object(key, json.dumps(body, indent=2).encode())

    def _put_item(self, item: dict) -> Written:
        try:
            self._dynamodb.put_item(
                TableName=self._table,
                Item=item,
                ConditionExpression="attribute_not_exists(id)",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            # Not the subject: under another key the same one has another pseudonym.
            there = error.response.get("Item", {})
            if any(there.get(name) != item[name] for name in ("time", "source", "payload")):
                raise Rejected(["id: belongs to an event with another content"], ["id: taken"]) from None
            return Written.DUPLICATE
        return Written.NEW

    def _put_object(self, key: str, body: bytes) -> None:
        """Writes an object unless it is there. The bucket's default encrypts it."""
        try:
            self._s3.put_object(
                Bucket=self._bucket, Key=key, Body=body, ContentType="application/json", IfNoneMatch="*"
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "PreconditionFailed":
                raise


def _day(time: datetime) -> str:
    """Returns the date as folders; strftime would not pad a year below 1000."""
    return time.date().isoformat().replace("-", "/")
