"""A client of the API: requests in, answers out, and what the tests made with it.

Only the standard library. A request is sent once: what the API answers is what the test sees. What goes wrong on the
way (no such host, no answer in time) raises `urllib.error.URLError` or `TimeoutError`.
"""

import json
import urllib.error
import urllib.parse
import urllib.request
import uuid
from dataclasses import dataclass
from typing import Any, Mapping

# A cold start and the API's own limit for its storage.
WITHIN_SECONDS = 20


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    def ok(self, status: int = 200) -> Any:
        """The body, where the status is the one expected."""
        assert self.status == status, f"{self.status} instead of {status}: {self.text}"
        return self.json

    def refused(self, status: int, code: str, field: str | None = None) -> dict[str, Any]:
        """The error, where it is the one expected."""
        assert self.status == status, f"{self.status} instead of {status}: {self.text}"
        error = self.json["error"]
        assert (error["code"], error.get("field")) == (code, field), error
        assert error["message"]
        return error


class Client:
    """Speaks to one API with one key, and remembers what it made."""

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
    ) -> Answer:
        """Sends `body` as JSON, or `data` as it is; with the client's key, another one, or (None) without."""
        if body is not None:
            data = json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **(headers or {})}
        if key is not None:
            sent["X-API-Key"] = key or self.api_key
        request = urllib.request.Request(self.base_url + path, data=data, method=method, headers=sent)
        try:
            with urllib.request.urlopen(request, timeout=WITHIN_SECONDS) as response:
                answer = Answer(response.status, response.headers, response.read().decode())
        except urllib.error.HTTPError as error:
            answer = Answer(error.code, error.headers, error.read().decode())
        self._remember(method, path, answer)
        return answer

    def get(self, path: str, **query: Any) -> Answer:
        return self.request("GET", path + ("?" + urllib.parse.urlencode(query) if query else ""))

    def post(self, path: str, body: Any) -> Answer:
        return self.request("POST", path, body)

    def patch(self, path: str, body: Any) -> Answer:
        return self.request("PATCH", path, body)

    def id(self, name: str = "id") -> str:
        """An id that no other run has."""
        return f"deployment-test-{self.run}-{name}-{uuid.uuid4().hex[:8]}"

    def trace(self, **fields: Any) -> dict[str, Any]:
        """A new trace."""
        body = {"project_id": self.id("project"), "name": "deployment test", **fields}
        return self.post("/api/traces", body).ok(201)

    def span(self, trace_id: str, **fields: Any) -> dict[str, Any]:
        """A new span of a trace."""
        return self.post(f"/api/traces/{trace_id}/spans", {"name": "deployment test", **fields}).ok(201)

    def _remember(self, method: str, path: str, answer: Answer) -> None:
        if method != "POST" or answer.status not in (200, 201):
            return
        if path.endswith("/spans"):
            self.spans.add(answer.json["span_id"])
        else:
            self.traces.add(answer.json["trace_id"])
