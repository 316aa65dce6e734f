"""Log lines: one JSON object a line on stdout, which Lambda takes to CloudWatch. None holds what an invoice says."""

import json
import os
import sys
from datetime import UTC, datetime

# As Lambda's logging controls name them, https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html.
LEVELS = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")


def write(level: str, message: str, request_id: str, **fields) -> None:
    """Writes one line, unless the function's log level asks for less."""
    wanted = (os.environ.get("AWS_LAMBDA_LOG_LEVEL") or os.environ.get("LOG_LEVEL") or "INFO").upper()
    if wanted in LEVELS and LEVELS.index(level) < LEVELS.index(wanted):
        return
    time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line = {"timestamp": time, "level": level, "requestId": request_id, "message": message, **fields}
    # One write a line: lines of two threads must not run into each other.
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
