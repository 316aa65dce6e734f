"""Starts moto_server so that many stacks can be applied to it at the same time.

moto iterates over its dictionaries while other requests change them. With many requests at once some fail with
"dictionary changed size during iteration". A few fail after moto made what they asked for, so that the client's next
attempt finds it there already. This script serializes the requests to one service. That costs no time, because only one
thread of Python runs at a time. If moto's internals differ from what this script expects, moto starts unchanged.

In: moto_server's own arguments. Out: its server, until a signal ends it.
"""

import collections
import io
import re
import sys
import threading

SCOPE = re.compile(r"Credential=[^/,&]+/\d{8}/[^/]*/([^/]+)/aws4_request")
# Requests that wait inside moto until something arrives.
WAITING = re.compile(r"ReceiveMessage|SubscribeToShard")


def load_one_partition():
    """Leaves out the five partitions besides `aws`: for each moto would load 1,500 managed policies per account, which
    is two thirds of its start time and of its memory."""
    import moto.iam.models

    moto.iam.models.PARTITION_NAMES = ["aws"]


def serialize_requests():
    """Serializes the requests to one service."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication

    dispatch = DomainDispatcherApplication.__call__
    locks = collections.defaultdict(threading.Lock)
    locks_guard = threading.Lock()

    def serialized(self, environ, start_response):
        service = service_of(environ)
        if service is None:
            return dispatch(self, environ, start_response)
        # The body is read before the lock is taken, so that a client that is still sending blocks nobody.
        body = buffer_body(environ)
        if WAITING.search(environ.get("HTTP_X_AMZ_TARGET", "")) or WAITING.search(form_action(body)):
            return dispatch(self, environ, start_response)
        with locks_guard:
            lock = locks[service]
        with lock:
            chunks = dispatch(self, environ, start_response)
            try:
                return [b"".join(chunks)]
            finally:
                close = getattr(chunks, "close", None)
                if close:
                    close()

    DomainDispatcherApplication.__call__ = serialized


def service_of(environ):
    """Returns the service in the request's signature; None if it is not signed."""
    query = environ.get("QUERY_STRING", "").replace("%2F", "/").replace("X-Amz-Credential", "Credential")
    found = SCOPE.search(environ.get("HTTP_AUTHORIZATION", "")) or SCOPE.search(query)
    return found and found.group(1)


def buffer_body(environ):
    """Reads the request's body and puts a copy in its place."""
    stream = environ["wsgi.input"]
    if environ.get("wsgi.input_terminated"):
        body = stream.read()
    else:
        body = stream.read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def form_action(body):
    """Returns the beginning of a form, which names its action; empty for any other body."""
    return body[:2000].decode("latin-1") if body.startswith(b"Action=") else ""


for change in (load_one_partition, serialize_requests):
    try:
        change()
    except (ImportError, AttributeError) as error:
        print(f"moto starts unchanged: {error}", file=sys.stderr)

from moto.server import main  # noqa: E402

sys.exit(main())
