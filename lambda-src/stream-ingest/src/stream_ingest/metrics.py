"""Metrics in the log, without a call of CloudWatch: its embedded metric format.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html

Each combination of dimensions is a metric of its own, and paid by the month: dimensions are a few fixed words, never an id.
"""

import json
import sys
import time


def write(namespace: str, dimensions: dict[str, str], **counts: int) -> None:
    """Writes numbers of things, as one line on stdout, of which CloudWatch makes data points."""
    directive = {
        "Namespace": namespace,
        "Dimensions": [list(dimensions)],
        "Metrics": [{"Name": name, "Unit": "Count"} for name in counts],
    }
    line = {"_aws": {"Timestamp": time.time_ns() // 1_000_000, "CloudWatchMetrics": [directive]}, **dimensions, **counts}
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
