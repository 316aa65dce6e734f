"""A client of the API, which remembers what the tests created.

It needs only the standard library. A request is sent once, without retries. Failures of the network (no such host, no
response in time) raise `urllib.error.URLError` or `TimeoutError`.
"""

import json
import urllib.error
import urllib.parse
import urllib.request
import uuid
from dataclasses import dataclass
from typing import Any, Mapping

# Enough for a cold start and the API's own time limit for its storage.
WITHIN_SECONDS = 20


@dataclass
class Response:
    """A response."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    def ok(self, status: int = 200) -> Any:
        """Returns the body; the status must be the expected one."""
        assert self.status == status, f"{self.status} instead of {status}: {self.text}"
        return self.json

    def refused(self, status: int, code: str, field: str | None = None) -> dict[str, Any]:
        """Returns the error, which must be the expected one."""
        assert self.status == status, f"{self.status} instead of {status}: {self.text}"
        error = self.json["error"]
        assert (error["code"], error.get("field")) == (code, field), error
        assert error["message"]
        return error


class Client:
    """Sends requests to one API with one key, and remembers what they created."""

    def __init__(self, base_url: str, api_key: str) -> None:
        self.base_url = base_url.rstrip("/")
        self.api_key = api_key
        self.run = uuid.uuid4().hex[:12]
        self.traces: set[str] = set()
        self.spans: set[str] = set()

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = "",
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Sends `body` as JSON, or `data` unchanged; with the client's key, another key, or (None) no key."""
        if body is not None:
            data = json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **(headers or {})}
        if key is not None:
            sent["X-API-Key"] = key or self.api_key
        request = urllib.request.Request(self.base_url + path, data=data, method=method, headers=sent)
        try:
            with urllib.request.urlopen(request, timeout=WITHIN_SECONDS) as response:
                response = Response(response.status, response.headers, response.read().decode())
        except urllib.error.HTTPError as error:
            response = Response(error.code, error.headers, error.read().decode())
        self._remember(method, path, response)
        return response

    def get(self, path: str, **query: Any) -> Response:
        return self.request("GET", path + ("?" + urllib.parse.urlencode(query) if query else ""))

    def post(self, path: str, body: Any) -> Response:
        return self.request("POST", path, body)

    def patch(self, path: str, body: Any) -> Response:
        return self.request("PATCH", path, body)

    def id(self, name: str = "id") -> str:
        """Returns an id that no other run uses."""
        return f"deployment-test-{self.run}-{name}-{uuid.uuid4().hex[:8]}"

    def trace(self, **fields: Any) -> dict[str, Any]:
        """Creates a trace."""
        body = {"project_id": self.id("project"), "name": "deployment test", **fields}
        return self.post("/api/traces", body).ok(201)

    def span(self, trace_id: str, **fields: Any) -> dict[str, Any]:
        """Creates a span of a trace."""
        return self.post(f"/api/traces/{trace_id}/spans", {"name": "deployment test", **fields}).ok(201)

    def _remember(self, method: str, path: str, response: Response) -> None:
        if method != "POST" or response.status not in (200, 201):
            return
        if path.endswith("/spans"):
            self.spans.add(response.json["span_id"])
        else:
            self.traces.add(response.json["trace_id"])
