"""What Lambda hands over: a batch of Kinesis records.

In: the event of an event source mapping. Out: its records, decoded. Goes wrong: MalformedEvent, for anything that no
mapping of a Kinesis stream sends.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import Base64Bytes, BaseModel, Field, ValidationError


class MalformedEvent(ValueError):
    """The event is not a batch of Kinesis records."""


@dataclass(frozen=True)
class StreamRecord:
    """One record of the stream, as a producer put it there."""

    shard: str
    sequence_number: str
    partition_key: str
    arrived_at: datetime
    data: bytes


class _Kinesis(BaseModel):
    sequence_number: Annotated[str, Field(alias="sequenceNumber", pattern=r"^[0-9]{1,129}$")]
    partition_key: Annotated[str, Field(alias="partitionKey", max_length=256)]
    arrived_at: Annotated[float, Field(alias="approximateArrivalTimestamp", ge=0, lt=2**35)]
    data: Base64Bytes


class _Record(BaseModel):
    source: Annotated[Literal["aws:kinesis"], Field(alias="eventSource")]
    # <shard id>:<sequence number>
    event_id: Annotated[str, Field(alias="eventID", pattern=r"^[A-Za-z0-9_.-]{1,128}:[0-9]{1,129}$")]
    kinesis: _Kinesis


class _Batch(BaseModel):
    records: Annotated[list[_Record], Field(alias="Records")]


def read(event: Any) -> list[StreamRecord]:
    """Returns the records of an event, in the stream's order; raises MalformedEvent.

    Fields that AWS may add one day are passed over: https://docs.aws.amazon.com/lambda/latest/dg/with-kinesis.html
    """
    try:
        batch = _Batch.model_validate(event)
    except ValidationError as error:
        # Without the input: an error's text ends in the log. Of many faults the first tells enough.
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in fault["loc"]) or "event"
        message = f"not a batch of Kinesis records: {place}: {fault['msg']} ({error.error_count()} faults)"
        raise MalformedEvent(message) from None
    return [
        StreamRecord(
            shard=record.event_id.rpartition(":")[0],
            sequence_number=record.kinesis.sequence_number,
            partition_key=record.kinesis.partition_key,
            arrived_at=datetime.fromtimestamp(record.kinesis.arrived_at, UTC),
            data=record.kinesis.data,
        )
        for record in batch.records
    ]
