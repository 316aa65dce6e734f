"""Starts moto_server so that many stacks can be applied to it at once.

moto walks through its dictionaries while other requests change them: of many at once some end in "dictionary changed
size during iteration", a few after what they asked for was made, so that a client's next attempt finds it there. Here
the requests to one service take turns. They cost no time for it, since one thread of Python runs at a time anyway.
Where moto's inside differs from what is known here, it starts as always.

In: moto_server's own arguments. Out: its server, until a signal ends it.
"""

import collections
import io
import re
import sys
import threading

SCOPE = re.compile(r"Credential=[^/,&]+/\d{8}/[^/]*/([^/]+)/aws4_request")
# They wait within moto for something to come.
WAITING = re.compile(r"ReceiveMessage|SubscribeToShard")


def fewer_partitions():
    """Leaves out the five besides `aws`: each would load its 1,500 managed policies for each account, which is two
    thirds of moto's start and of its memory."""
    import moto.iam.models

    moto.iam.models.PARTITION_NAMES = ["aws"]


def turns():
    """Lets the requests to one service take turns."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication

    answer = DomainDispatcherApplication.__call__
    services = collections.defaultdict(threading.Lock)
    guard = threading.Lock()

    def in_turn(self, environ, start_response):
        service = service_of(environ)
        if service is None:
            return answer(self, environ, start_response)
        # A client that is still sending keeps nobody waiting.
        body = whole(environ)
        if WAITING.search(environ.get("HTTP_X_AMZ_TARGET", "")) or WAITING.search(action(body)):
            return answer(self, environ, start_response)
        with guard:
            turn = services[service]
        with turn:
            chunks = answer(self, environ, start_response)
            try:
                return [b"".join(chunks)]
            finally:
                close = getattr(chunks, "close", None)
                if close:
                    close()

    DomainDispatcherApplication.__call__ = in_turn


def service_of(environ):
    """Takes the service from the request's signature; None where there is none."""
    query = environ.get("QUERY_STRING", "").replace("%2F", "/").replace("X-Amz-Credential", "Credential")
    found = SCOPE.search(environ.get("HTTP_AUTHORIZATION", "")) or SCOPE.search(query)
    return found and found.group(1)


def whole(environ):
    """Reads the request's body and puts it back."""
    stream = environ["wsgi.input"]
    if environ.get("wsgi.input_terminated"):
        body = stream.read()
    else:
        body = stream.read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def action(body):
    """Gives the beginning of a form, where its action stands."""
    return body[:2000].decode("latin-1") if body.startswith(b"Action=") else ""


for change in (fewer_partitions, turns):
    try:
        change()
    except (ImportError, AttributeError) as error:
        print(f"moto is started as it is: {error}", file=sys.stderr)

from moto.server import main  # noqa: E402

sys.exit(main())
