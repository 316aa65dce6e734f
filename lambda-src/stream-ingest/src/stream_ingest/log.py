"""Log lines: one JSON object a line on stdout, which Lambda takes to CloudWatch. None holds a record's content."""

import json
import sys
from datetime import UTC, datetime


def write(level: str, message: str, request_id: str, **fields) -> None:
    """Writes one line."""
    time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line = {"timestamp": time, "level": level, "message": message, "request_id": request_id, **fields}
    # One write a line: lines of two threads must not run into each other.
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
