"""What a record must hold.

In: a record's bytes. Out: an Event. Goes wrong: Rejected, with reasons, for what can never become valid.
"""

import json
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, ValidationError, field_validator

# With its keys and its overhead an accepted event stays below the 400 KB of a DynamoDB item.
MAX_RECORD_BYTES = 256 * 1024
MAX_PAYLOAD_BYTES = 128 * 1024
MAX_REASONS = 10


class Rejected(ValueError):
    """A record that can never be valid.

    `reasons` are for whoever repairs the producer and may name fields that the producer chose; `codes` hold nothing of
    the record's content, and may be logged.
    """

    def __init__(self, reasons: list[str], codes: list[str]):
        super().__init__("; ".join(codes))
        self.reasons = reasons
        self.codes = codes


class Event(BaseModel):
    """Something that happened: an order that was placed, a reading that a sensor took."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
    time: AwareDatetime
    source: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9./_-]{0,127}$")]
    # Whom it is about: a customer's number, say. Leaves this function in clear only within the raw record.
    subject: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    payload: dict[str, JsonValue]

    @field_validator("time")
    @classmethod
    def _in_utc(cls, time: datetime) -> datetime:
        try:
            return time.astimezone(UTC)
        except OverflowError:
            raise ValueError("outside the years 1 to 9999 in UTC") from None

    @field_validator("payload")
    @classmethod
    def _fits(cls, payload: dict[str, JsonValue]) -> dict[str, JsonValue]:
        if len(encode(payload).encode()) > MAX_PAYLOAD_BYTES:
            raise ValueError(f"larger than {MAX_PAYLOAD_BYTES} bytes")
        return payload


def parse(data: bytes) -> Event:
    """Returns the event that a record holds; raises Rejected."""
    if len(data) > MAX_RECORD_BYTES:
        raise Rejected([f"the record has {len(data)} bytes; {MAX_RECORD_BYTES} are allowed"], ["record: too_large"])
    try:
        return Event.model_validate_json(data)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)[:MAX_REASONS]
        raise Rejected(
            [f"{'.'.join(map(str, fault['loc'])) or 'record'}: {fault['msg']}" for fault in faults],
            [f"{_place(fault['loc'])}: {fault['type']}" for fault in faults],
        ) from None


def encode(payload: dict[str, JsonValue]) -> str:
    """Returns a payload as JSON, the same text for the same payload; raises ValueError for what JSON has no word for."""
    return json.dumps(payload, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))


def _place(location: tuple[int | str, ...]) -> str:
    """Names the field that is at fault where the name is ours, not the producer's."""
    if not location:
        return "record"
    return str(location[0]) if location[0] in Event.model_fields else "unknown field"
