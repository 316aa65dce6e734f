"""The handler, which knows nothing of traces, under the instrumentation that the layer of the AWS Distro for OpenTelemetry holds.

In: the packages of requirements.lock, a collector on loopback, AWS as a closed port. Out: the batch is a span in the trace that
X-Ray's header names, the call of AWS a span in it; nothing of a record is in them.
"""

import http.server
import os
import pathlib
import queue
import subprocess
import sys
import threading
import unittest

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

TESTS = pathlib.Path(__file__).resolve().parents[1]
TRACE, CALLER = "5759e988bd862e3fe1be46a994272793", "53995c3f42cd8ad8"
XRAY = f"Root=1-{TRACE[:8]}-{TRACE[8:]};Parent={CALLER};Sampled=1"

# As the layer's wrapper calls the function: through a module's attribute, which the instrumentation has replaced.
CALL = """
import importlib, support
from types import SimpleNamespace
context = SimpleNamespace(
    aws_request_id="request-1", function_name="ingest", get_remaining_time_in_millis=lambda: 60000,
    invoked_function_arn="arn:aws:lambda:eu-central-1:222222222222:function:ingest",
)
event = support.batch({"id": "e1", "type": "order", "occurred_at": "2026-01-01T00:00:00Z", "user_id": "ada@example.com", "payload": {}})
try:
    importlib.import_module("stream_ingest.app").handle(event, context)
except Exception as error:
    print(type(error).__name__)
"""


class Collector(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.put((self.path, self.headers.get("Content-Encoding"), body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Traces(unittest.TestCase):
    def setUp(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
        self.server.received = queue.Queue()
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)

    def test_batch_is_a_span_in_the_callers_trace_and_the_call_of_aws_one_in_it(self):
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{TESTS.parent / 'src'}:{TESTS}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "_HANDLER": "stream_ingest.app.handle",
            "_X_AMZN_TRACE_ID": XRAY,
            "AWS_LAMBDA_FUNCTION_NAME": "ingest",
            "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
            "AWS_REGION": "eu-central-1",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "TABLE_NAME": "events",
            "BUCKET_NAME": "records",
            "SECRET_ARN": "arn:aws:secretsmanager:eu-central-1:222222222222:secret:pseudonym-key-AbCdEf",
            "OTEL_SERVICE_NAME": "ingest",
            "OTEL_PROPAGATORS": "xray-lambda",
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{self.server.server_address[1]}",
        }
        instrument = pathlib.Path(sys.executable).with_name("opentelemetry-instrument")
        ended = subprocess.run(
            [instrument, sys.executable, "-c", CALL], env=environment, text=True, timeout=120, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        # The call went as far as AWS, which is not there.
        self.assertIn("KeyUnavailable", ended.stdout, ended)
        spans, text = [], ""
        while not self.server.received.empty():
            path, encoding, body = self.server.received.get()
            self.assertEqual((path, encoding), ("/v1/traces", None))
            export = ExportTraceServiceRequest.FromString(body)
            text += str(export)
            spans += [span for resource in export.resource_spans for scope in resource.scope_spans for span in scope.spans]
        by_id = {span.span_id: span for span in spans}
        batch = next(span for span in spans if span.parent_span_id.hex() == CALLER)
        call = next(span for span in spans if span.name.endswith("GetSecretValue"))
        self.assertEqual({span.trace_id.hex() for span in spans}, {TRACE})
        above = call
        while above.span_id != batch.span_id:
            above = by_id[above.parent_span_id]
        self.assertIn("request-1", text)
        self.assertNotIn("ada@", text)


if __name__ == "__main__":
    unittest.main()
