"""The handler: a batch in, the records to be sent again out."""

import functools
import os
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from stream_ingest import batch, log, metrics, pseudonym
from stream_ingest.event import Rejected, parse
from stream_ingest.store import CLIENT_CONFIG, WRITERS, Store

# Time kept for the answer: a batch that runs into the limit is an error as a whole.
RESERVE_MILLISECONDS = 3000


class ConfigurationError(RuntimeError):
    """A variable of the environment is missing; the message names it."""


@dataclass(frozen=True)
class Settings:
    """Where the function reads and writes."""

    table: str
    bucket: str
    secret: str


def handle(event, context):
    """Ingests a batch and answers the records that the stream must send again.

    Raises MalformedEvent, ConfigurationError or KeyUnavailable before anything is written.
    """
    started = time.monotonic()
    records = batch.read(event)
    settings = _settings()
    ingestion = Ingestion(context)
    if records:
        store = _store(settings)
        pseudonyms = _pseudonyms(settings.secret).current(
            lambda error: log.write("WARN", "an older key is used", context.aws_request_id, why=str(error))
        )
        with ThreadPoolExecutor(WRITERS) as writers:
            outcomes = list(writers.map(lambda record: ingestion.take(record, store, pseudonyms), records))
    else:
        outcomes = []
    counts = Counter(outcomes)
    again = [r.sequence_number for r, outcome in zip(records, outcomes, strict=True) if outcome in AGAIN]
    fields = {"first_error": ingestion.first_error} if ingestion.first_error else {}
    duration_ms = round((time.monotonic() - started) * 1000)
    log.write(
        "ERROR" if again else "INFO",
        "batch ingested",
        context.aws_request_id,
        records=len(records),
        **{name: counts[name] for name in ("new", "duplicate", "rejected", *AGAIN)},
        duration_ms=duration_ms,
        **fields,
    )
    metrics.write(
        "StreamIngest",
        {"FunctionName": context.function_name},
        **{name.capitalize(): counts[name] for name in ("new", "duplicate", "rejected", *AGAIN)},
    )
    # https://docs.aws.amazon.com/lambda/latest/dg/services-kinesis-batchfailurereporting.html
    return {"batchItemFailures": [{"itemIdentifier": number} for number in again]}


# Outcomes of a record that is sent again: its writing failed, or was not tried.
AGAIN = ("failed", "untried")


class Ingestion:
    """One call's work."""

    def __init__(self, context):
        self._context = context
        self._stopped = threading.Event()
        self.first_error = None

    def take(self, record: batch.StreamRecord, store: Store, pseudonyms: pseudonym.Pseudonyms) -> str:
        """Writes one record where it belongs and returns its outcome.

        After a failure nothing more is begun: Lambda sends all from the lowest failed number on again, and a service
        that fails is not helped by more calls. What was written after that number is a duplicate then.
        """
        if self._context.get_remaining_time_in_millis() < RESERVE_MILLISECONDS:
            self._stopped.set()
        if self._stopped.is_set():
            return "untried"
        try:
            try:
                return store.accept(parse(record.data), record, pseudonyms).value
            except Rejected as rejected:
                store.reject(record, rejected.reasons)
                log.write(
                    "WARN",
                    "record rejected",
                    self._context.aws_request_id,
                    shard=record.shard,
                    sequence_number=record.sequence_number,
                    reasons=rejected.codes,
                )
                return "rejected"
        except (BotoCoreError, ClientError) as error:
            self._stopped.set()
            self.first_error = self.first_error or _describe(error)
            return "failed"


def _describe(error: Exception) -> str:
    """Names an error of AWS by operation and code: its text may repeat what was sent."""
    if isinstance(error, ClientError):
        return f"{error.operation_name}: {error.response['Error'].get('Code', 'unknown')}"
    return type(error).__name__


def _settings() -> Settings:
    names = {"table": "TABLE_NAME", "bucket": "BUCKET_NAME", "secret": "SECRET_ARN"}
    missing = [name for name in names.values() if not os.environ.get(name)]
    if missing:
        raise ConfigurationError(f"the function's environment lacks {', '.join(missing)}")
    return Settings(**{field: os.environ[name] for field, name in names.items()})


@functools.cache
def _store(settings: Settings) -> Store:
    """Makes the clients, once for an instance: a connection is kept from call to call."""
    return Store(_client("dynamodb"), _client("s3"), settings.table, settings.bucket)


@functools.cache
def _pseudonyms(secret: str) -> pseudonym.Renewed:
    """Returns what reads the key when it is needed."""
    client = _client("secretsmanager")
    return pseudonym.Renewed(lambda: pseudonym.read(client, secret))


def _client(service: str):
    # boto3 itself reads AWS_DEFAULT_REGION; Lambda promises AWS_REGION.
    return boto3.client(service, region_name=os.environ.get("AWS_REGION"), config=CLIENT_CONFIG)
