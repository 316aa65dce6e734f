"""Runs start_moto.py with an application that counts concurrent requests; prints the maximum for each kind of request."""

import io
import runpy
import sys
import threading
import time

import moto.server
from moto.moto_server.werkzeug_app import DomainDispatcherApplication

running, most = {}, {}
lock = threading.Lock()


def count(self, environ, start_response):
    kind = environ["kind"]
    with lock:
        running[kind] = running.get(kind, 0) + 1
        most[kind] = max(most.get(kind, 0), running[kind])
    time.sleep(0.1)
    with lock:
        running[kind] -= 1
    return [environ["wsgi.input"].read()]


def request(kind, scope, body=b"", target=""):
    authorization = f"AWS4-HMAC-SHA256 Credential=A/20260101/eu-west-1/{scope}/aws4_request, S=x" if scope else ""
    return {
        "kind": kind,
        "HTTP_AUTHORIZATION": authorization,
        "HTTP_X_AMZ_TARGET": target,
        "QUERY_STRING": "X-Amz-Credential=A%2F20260101%2Feu-west-1%2Fs3%2Faws4_request" if kind == "query" else "",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
    }


def main():
    application = object.__new__(DomainDispatcherApplication)
    kinds = [
        lambda: request("dynamodb", "dynamodb", b"{}"),
        lambda: request("query", ""),
        lambda: request("unsigned", ""),
        lambda: request("form", "sqs", b"Action=ReceiveMessage&WaitTimeSeconds=20"),
        lambda: request("json", "sqs", b"{}", "AmazonSQS.ReceiveMessage"),
    ]

    def send(make):
        environ = make()
        expected = environ["wsgi.input"].getvalue()
        assert b"".join(application(environ, None)) == expected, environ

    threads = [threading.Thread(target=send, args=(make,)) for make in kinds for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(",".join(f"{kind} {most[kind]}" for kind in sorted(most)))


DomainDispatcherApplication.__call__ = count
moto.server.main = main
runpy.run_path(sys.argv[1])
