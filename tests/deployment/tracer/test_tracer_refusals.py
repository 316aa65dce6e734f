"""Who is not let in, and what is not taken."""

import base64
import json
import os

import pytest
from tracer_client import Client

UNKNOWN_KEYS = [None, "wrong-key-altogether", "ä-key-in-latin-1"]

TRACE = {"project_id": "deployment-test", "name": "n"}


def test_every_route_but_health_needs_a_key(api: Client) -> None:
    for method, path in [
        ("POST", "/api/traces"),
        ("GET", "/api/traces/t1"),
        ("POST", "/api/traces/t1/spans"),
        ("PATCH", "/api/traces/t1/complete"),
        ("PATCH", "/api/spans/s1/complete"),
        ("GET", "/api/projects/p1/traces"),
    ]:
        for key in UNKNOWN_KEYS:
            answer = api.request(method, path, key=key)
            answer.refused(401, "unauthorized")
            assert api.api_key not in answer.text


def test_a_part_of_a_key_is_none(api: Client) -> None:
    for key in (api.api_key[:-1], api.api_key + "x", api.api_key.swapcase(), f'"{api.api_key}"'):
        api.request("GET", "/api/projects/p1/traces", key=key).refused(401, "unauthorized")


@pytest.mark.parametrize("path", ["/", "/api", "/api/nothing", "/health", "/api/traces/t1/nothing", "/api/health/"])
def test_unknown_paths(api: Client, path: str) -> None:
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
def test_other_methods(api: Client, method: str, path: str, allowed: str) -> None:
    answer = api.request(method, path)
    answer.refused(405, "method_not_allowed")
    assert answer.headers["Allow"] == allowed


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
def test_bodies_that_are_no_json_object(api: Client, data: bytes, code: str) -> None:
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
def test_fields_of_a_trace(api: Client, change: dict, code: str, field: str) -> None:
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
def test_fields_of_a_span(api: Client, body: dict, code: str, field: str) -> None:
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
def test_fields_of_a_completion(api: Client, path: str, body: dict, code: str, field: str) -> None:
    api.patch(path, body).refused(400, code, field)


@pytest.mark.parametrize("bad", ["%2F", "-t1", "a%20b", "%C3%BC", "x" * 129, "%"])
def test_ids_in_paths(api: Client, bad: str) -> None:
    api.request("GET", f"/api/traces/{bad}").refused(400, "invalid_id", "trace_id")
    api.request("GET", f"/api/projects/{bad}/traces").refused(400, "invalid_id", "project_id")
    api.patch(f"/api/spans/{bad}/complete", {}).refused(400, "invalid_id", "span_id")


def test_long_bodies(api: Client) -> None:
    api.post("/api/traces", {**TRACE, "input": "x" * (200 << 10)}).refused(413, "too_large")


def test_bodies_of_other_types_are_decoded(api: Client) -> None:
    # A body that is no text to Lambda comes to the function as base64.
    body = {"project_id": api.id("project"), "name": "binary"}
    headers = {"Content-Type": "application/octet-stream"}
    answer = api.request("POST", "/api/traces", data=json.dumps(body).encode(), headers=headers)
    assert answer.ok(201)["name"] == "binary"
    # And base64 that the caller wrote is not decoded.
    api.request("POST", "/api/traces", data=base64.b64encode(json.dumps(body).encode())).refused(400, "invalid_json")


def test_every_answer_names_its_request(api: Client) -> None:
    first, second = api.request("GET", "/api/health"), api.request("GET", "/api/nothing")
    assert first.headers["X-Request-Id"] != second.headers["X-Request-Id"]
    assert first.headers["Content-Type"] == second.headers["Content-Type"] == "application/json"
    assert first.headers["Cache-Control"] == "no-store"


@pytest.fixture()
def origin() -> str:
    origin = os.environ.get("TRACER_ORIGIN")
    if not origin:
        pytest.skip("TRACER_ORIGIN names no origin that the API lets in")
    return origin


def test_a_page_of_an_allowed_origin_may_ask(api: Client, origin: str) -> None:
    asked = {"Origin": origin, "Access-Control-Request-Method": "PATCH"}
    answer = api.request("OPTIONS", "/api/traces/t1/complete", key=None, headers=asked)
    assert answer.status == 204
    assert answer.headers.get_all("Access-Control-Allow-Origin") == [origin]
    assert "PATCH" in answer.headers["Access-Control-Allow-Methods"]
    allowed = {header.strip().lower() for header in answer.headers["Access-Control-Allow-Headers"].split(",")}
    assert {"content-type", "x-api-key"} <= allowed
    for key in (None, ""):
        answer = api.request("GET", "/api/projects/p1/traces", key=key, headers={"Origin": origin})
        assert answer.headers.get_all("Access-Control-Allow-Origin") == [origin], "once, on refusals too"


def test_a_page_of_another_origin_may_not(api: Client, origin: str) -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
    answer = api.request("OPTIONS", "/api/projects/p1/traces", key=None, headers=asked)
    assert answer.headers["Access-Control-Allow-Origin"] is None
