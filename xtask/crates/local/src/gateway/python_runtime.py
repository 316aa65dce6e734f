"""A runtime client for Python functions on the local Lambda gateway.

Reads events from the Runtime API, calls the handler, posts what it returns or raises.
"""

import http.client
import importlib
import json
import os
import sys
import time
import traceback


class Context:
    """The context object of a handler, with Lambda's names."""

    def __init__(self, headers):
        self.aws_request_id = headers["Lambda-Runtime-Aws-Request-Id"]
        self.invoked_function_arn = headers["Lambda-Runtime-Invoked-Function-Arn"]
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self.identity = None
        client_context = headers["Lambda-Runtime-Client-Context"]
        self.client_context = json.loads(client_context) if client_context else None
        self._deadline = int(headers["Lambda-Runtime-Deadline-Ms"])

    def get_remaining_time_in_millis(self):
        return max(0, self._deadline - int(time.time() * 1000))

    def log(self, message):
        print(message)


def describe(error):
    trace = traceback.format_exception(type(error), error, error.__traceback__)
    sys.stderr.write("".join(trace))
    return {
        "errorMessage": str(error),
        "errorType": type(error).__name__,
        "stackTrace": traceback.format_tb(error.__traceback__),
    }


def post(connection, path, body, error=None):
    headers = {"Content-Type": "application/json"}
    if error:
        headers["Lambda-Runtime-Function-Error-Type"] = error
    sys.stdout.flush()
    sys.stderr.flush()
    connection.request("POST", "/2018-06-01/runtime" + path, body, headers)
    connection.getresponse().read()


def load(connection):
    try:
        module, _, function = os.environ["_HANDLER"].rpartition(".")
        sys.path.insert(0, os.environ["LAMBDA_TASK_ROOT"])
        return getattr(importlib.import_module(module.replace("/", ".")), function)
    except BaseException as error:
        post(connection, "/init/error", json.dumps(describe(error)), type(error).__name__)
        sys.exit(1)


def main():
    connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    handler = load(connection)
    while True:
        connection.request("GET", "/2018-06-01/runtime/invocation/next")
        invocation = connection.getresponse()
        payload = invocation.read()
        if invocation.status != 200:
            sys.exit(1)
        os.environ["_X_AMZN_TRACE_ID"] = invocation.headers["Lambda-Runtime-Trace-Id"] or ""
        base = "/invocation/" + invocation.headers["Lambda-Runtime-Aws-Request-Id"]
        try:
            result = json.dumps(handler(json.loads(payload), Context(invocation.headers)), ensure_ascii=False)
        except Exception as error:
            post(connection, base + "/error", json.dumps(describe(error)), type(error).__name__)
        else:
            post(connection, base + "/response", result.encode())


main()
