"""A proxy in front of the gateway that records every call and its response.

In: the gateway's address, and a file for the record. Out: one JSON line for each call, in the order of their answers: which
stack's listener received it, during which step, method, path, query, headers, body, status and answer. The host that the
client signed is passed on as it is, or the signature would be another. What can go wrong: the gateway does not answer (the
client gets 502, and the line says so).
"""

import base64
import http.client
import http.server
import json
import threading
import urllib.parse

# Bodies of objects are longer and not needed.
LONGEST = 256 * 1024


class Record:
    """The recording, shared by all listeners."""

    def __init__(self, path):
        self.file = open(path, "w", encoding="utf-8")
        self.lock = threading.Lock()

    def write(self, line):
        with self.lock:
            self.file.write(json.dumps(line) + "\n")
            self.file.flush()


class Listener(http.server.ThreadingHTTPServer):
    """The proxy of one stack; `step` names the current step."""

    daemon_threads = True

    def __init__(self, stack, gateway, record):
        super().__init__(("127.0.0.1", 0), Handler)
        self.stack, self.step, self.record = stack, None, record
        self.gateway = urllib.parse.urlparse(gateway)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def log_message(self, *_):
        """The record is the log."""

    def body(self):
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def forward(self):
        body = self.body()
        gateway = http.client.HTTPConnection(self.server.gateway.hostname, self.server.gateway.port, timeout=600)
        try:
            gateway.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in ("transfer-encoding", "content-length", "connection", "expect"):
                    gateway.putheader(name, value)
            if body or self.command in ("POST", "PUT", "PATCH"):
                gateway.putheader("Content-Length", str(len(body)))
            gateway.endheaders(body)
            response = gateway.getresponse()
            status, headers, content = response.status, response.getheaders(), response.read()
        except OSError as error:
            status, headers, content = 502, [], str(error).encode()
        finally:
            gateway.close()
        path, _, query = self.path.partition("?")
        self.server.record.write({
            "stack": self.server.stack,
            "step": self.server.step,
            "method": self.command,
            "path": path,
            "query": query,
            # No header has the secret key; the session token is left out as well.
            "headers": {n.lower(): v for n, v in self.headers.items() if n.lower() != "x-amz-security-token"},
            "body": base64.b64encode(body if len(body) <= LONGEST else b"").decode(),
            "status": status,
            "answer": content[:LONGEST].decode("utf-8", "replace"),
        })
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        length = dict((n.lower(), v) for n, v in headers).get("content-length", "0") if self.command == "HEAD" else len(content)
        if status not in (204, 304):
            self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_PATCH = forward
