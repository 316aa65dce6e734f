"""Requests without access, and refused content."""

import base64
import json
import os

import pytest
from tracer_client import Client

UNKNOWN_KEYS = [None, "wrong-key-altogether", "ä-key-in-latin-1"]

TRACE = {"project_id": "deployment-test", "name": "n"}


def test_routes_other_than_health_need_a_key(api: Client) -> None:
    for method, path in [
        ("POST", "/api/traces"),
        ("GET", "/api/traces/t1"),
        ("POST", "/api/traces/t1/spans"),
        ("PATCH", "/api/traces/t1/complete"),
        ("PATCH", "/api/spans/s1/complete"),
        ("GET", "/api/projects/p1/traces"),
    ]:
        for key in UNKNOWN_KEYS:
            response = api.request(method, path, key=key)
            response.refused(401, "unauthorized")
            assert api.api_key not in response.text


def test_part_of_a_key_is_refused(api: Client) -> None:
    for key in (api.api_key[:-1], api.api_key + "x", api.api_key.swapcase(), f'"{api.api_key}"'):
        api.request("GET", "/api/projects/p1/traces", key=key).refused(401, "unauthorized")


@pytest.mark.parametrize("path", ["/", "/api", "/api/nothing", "/health", "/api/traces/t1/nothing", "/api/health/"])
def test_unknown_path_is_not_found(api: Client, path: str) -> None:
    api.request("GET", path).refused(404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/api/traces", "POST"),
        ("PUT", "/api/traces/t1", "GET"),
        ("DELETE", "/api/traces/t1", "GET"),
        ("POST", "/api/spans/s1/complete", "PATCH"),
        ("POST", "/api/health", "GET"),
    ],
)
def test_unsupported_method_is_not_allowed(api: Client, method: str, path: str, allowed: str) -> None:
    response = api.request(method, path)
    response.refused(405, "method_not_allowed")
    assert response.headers["Allow"] == allowed


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (b"{'name': 1}", "invalid_json"),
        (b"\xff\xfe", "invalid_json"),
        (b"[" * 5000, "invalid_json"),
        (b"[]", "invalid_body"),
        (b"null", "invalid_body"),
        (b'"text"', "invalid_body"),
    ],
)
def test_body_that_is_not_a_json_object_is_refused(api: Client, data: bytes, code: str) -> None:
    api.request("POST", "/api/traces", data=data).refused(400, code)


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"name": None}, "missing_field", "name"),
        ({"project_id": None}, "missing_field", "project_id"),
        ({"name": 5}, "invalid_field", "name"),
        ({"name": " "}, "invalid_field", "name"),
        ({"name": "x" * 257}, "field_too_long", "name"),
        ({"project_id": "a b"}, "invalid_id", "project_id"),
        ({"project_id": "x" * 129}, "invalid_id", "project_id"),
        ({"trace_id": "../t1"}, "invalid_id", "trace_id"),
        ({"trace_id": ["t1"]}, "invalid_field", "trace_id"),
        ({"start_time": "yesterday"}, "invalid_field", "start_time"),
        ({"start_time": 1700000000}, "invalid_field", "start_time"),
        ({"start_time": "2026-11-22T10:00:00"}, "invalid_field", "start_time"),
        ({"metadata": "text"}, "invalid_field", "metadata"),
        ({"metadata": {"text": "x" * 20_000}}, "field_too_long", "metadata"),
        ({"colour": "red"}, "unknown_field", "colour"),
    ],
)
def test_invalid_trace_field_is_refused(api: Client, change: dict, code: str, field: str) -> None:
    api.post("/api/traces", {**TRACE, **change}).refused(400, code, field)


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({}, "missing_field", "name"),
        ({"name": "n", "span_id": "a/b"}, "invalid_id", "span_id"),
        ({"name": "n", "parent_span_id": 1}, "invalid_field", "parent_span_id"),
        ({"name": "n", "span_id": "s1", "parent_span_id": "s1"}, "invalid_field", "parent_span_id"),
        ({"name": "n", "kind": ""}, "invalid_field", "kind"),
        ({"name": "n", "project_id": "p"}, "unknown_field", "project_id"),
    ],
)
def test_invalid_span_field_is_refused(api: Client, body: dict, code: str, field: str) -> None:
    api.post("/api/traces/t1/spans", body).refused(400, code, field)


@pytest.mark.parametrize("path", ["/api/traces/t1/complete", "/api/spans/s1/complete"])
@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"status": "done"}, "invalid_field", "status"),
        ({"status": "ok", "error": "e"}, "invalid_field", "error"),
        ({"error": "x" * 5000}, "field_too_long", "error"),
        ({"end_time": "soon"}, "invalid_field", "end_time"),
        ({"name": "n"}, "unknown_field", "name"),
    ],
)
def test_invalid_completion_field_is_refused(api: Client, path: str, body: dict, code: str, field: str) -> None:
    api.patch(path, body).refused(400, code, field)


@pytest.mark.parametrize("bad", ["%2F", "-t1", "a%20b", "%C3%BC", "x" * 129, "%"])
def test_invalid_id_in_a_path_is_refused(api: Client, bad: str) -> None:
    api.request("GET", f"/api/traces/{bad}").refused(400, "invalid_id", "trace_id")
    api.request("GET", f"/api/projects/{bad}/traces").refused(400, "invalid_id", "project_id")
    api.patch(f"/api/spans/{bad}/complete", {}).refused(400, "invalid_id", "span_id")


def test_too_long_body_is_refused(api: Client) -> None:
    api.post("/api/traces", {**TRACE, "input": "x" * (200 << 10)}).refused(413, "too_large")


def test_binary_body_is_decoded(api: Client) -> None:
    # A body that is not text to Lambda reaches the function as base64.
    body = {"project_id": api.id("project"), "name": "binary"}
    headers = {"Content-Type": "application/octet-stream"}
    response = api.request("POST", "/api/traces", data=json.dumps(body).encode(), headers=headers)
    assert response.ok(201)["name"] == "binary"
    # Base64 that the caller wrote is not decoded.
    api.request("POST", "/api/traces", data=base64.b64encode(json.dumps(body).encode())).refused(400, "invalid_json")


def test_every_response_has_its_own_request_id(api: Client) -> None:
    first, second = api.request("GET", "/api/health"), api.request("GET", "/api/nothing")
    assert first.headers["X-Request-Id"] != second.headers["X-Request-Id"]
    assert first.headers["Content-Type"] == second.headers["Content-Type"] == "application/json"
    assert first.headers["Cache-Control"] == "no-store"


@pytest.fixture()
def origin() -> str:
    origin = os.environ.get("TRACER_ORIGIN")
    if not origin:
        pytest.skip("TRACER_ORIGIN does not name an origin that the API allows")
    return origin


def test_cors_preflight_of_an_allowed_origin_is_accepted(api: Client, origin: str) -> None:
    asked = {"Origin": origin, "Access-Control-Request-Method": "PATCH"}
    response = api.request("OPTIONS", "/api/traces/t1/complete", key=None, headers=asked)
    assert response.status == 204
    assert response.headers.get_all("Access-Control-Allow-Origin") == [origin]
    assert "PATCH" in response.headers["Access-Control-Allow-Methods"]
    allowed = {header.strip().lower() for header in response.headers["Access-Control-Allow-Headers"].split(",")}
    assert {"content-type", "x-api-key"} <= allowed
    for key in (None, ""):
        response = api.request("GET", "/api/projects/p1/traces", key=key, headers={"Origin": origin})
        assert response.headers.get_all("Access-Control-Allow-Origin") == [origin], "exactly once, on errors too"


def test_cors_preflight_of_another_origin_is_refused(api: Client, origin: str) -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
    response = api.request("OPTIONS", "/api/projects/p1/traces", key=None, headers=asked)
    assert response.headers["Access-Control-Allow-Origin"] is None
