"""Creating, completing and reading traces and spans."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from tracer_client import Client

START = "2026-11-22T10:00:00.000000Z"


def spans_of(api: Client, trace_id: str, count: int) -> list[dict]:
    """Returns the spans of a trace; waits for their index, which is updated with a delay."""
    deadline = time.monotonic() + 10
    while True:
        spans = api.get(f"/api/traces/{trace_id}").ok()["spans"]
        if len(spans) >= count or time.monotonic() > deadline:
            return spans
        time.sleep(0.2)


def test_health_needs_no_key(api: Client) -> None:
    assert api.request("GET", "/api/health", key=None).ok() == {"status": "ok"}


def test_trace_with_spans_is_created_completed_and_read(api: Client) -> None:
    trace = api.trace(name="checkout", metadata={"user": "u1"}, input={"cart": [1, 2.5, None, "ü"]})
    trace_id = trace["trace_id"]
    assert (trace["status"], trace["name"]) == ("running", "checkout")
    assert trace["input"] == {"cart": [1, 2.5, None, "ü"]}
    parent = api.span(trace_id, name="search", start_time="2026-11-22T10:00:01Z", kind="tool")
    child = api.span(
        trace_id, name="response", start_time="2026-11-22T10:00:02Z", parent_span_id=parent["span_id"], input="question"
    )
    ended = api.patch(
        f"/api/spans/{parent['span_id']}/complete", {"end_time": "2026-11-22T10:00:01.25Z", "output": ["hit"]}
    ).ok()
    assert (ended["status"], ended["duration_ms"], ended["output"]) == ("ok", 250.0, ["hit"])
    failed = api.patch(f"/api/spans/{child['span_id']}/complete", {"error": "no response"}).ok()
    assert (failed["status"], failed["error"]) == ("error", "no response")
    whole = api.patch(f"/api/traces/{trace_id}/complete", {"output": {"total": 3}}).ok()
    assert (whole["status"], whole["output"]) == ("ok", {"total": 3})
    assert [span["name"] for span in spans_of(api, trace_id, 2)] == ["search", "response"]
    read = api.get(f"/api/traces/{trace_id}").ok()
    assert {name: read[name] for name in whole} == whole
    assert read["next_cursor"] is None


def test_given_ids_and_times_are_kept(api: Client) -> None:
    trace_id, span_id = api.id("trace"), api.id("span")
    trace = api.trace(trace_id=trace_id, start_time="2026-11-22T11:00:00+01:00")
    assert (trace["trace_id"], trace["start_time"]) == (trace_id, START)
    assert api.span(trace_id, span_id=span_id)["span_id"] == span_id


def test_repeated_request_changes_nothing(api: Client) -> None:
    body = {"trace_id": api.id("trace"), "project_id": api.id("project"), "name": "n", "input": {"a": 1, "b": 2}}
    made = api.post("/api/traces", body).ok(201)
    assert api.post("/api/traces", {**body, "input": {"b": 2, "a": 1}}).ok(200) == made
    api.post("/api/traces", {**body, "name": "m"}).refused(409, "conflict")
    spans = f"/api/traces/{made['trace_id']}/spans"
    span = {"span_id": api.id("span"), "name": "n"}
    made_span = api.post(spans, span).ok(201)
    assert api.post(spans, span).ok(200) == made_span
    api.post(spans, {**span, "kind": "llm"}).refused(409, "conflict")
    for path in (f"/api/spans/{span['span_id']}/complete", f"/api/traces/{made['trace_id']}/complete"):
        first = api.patch(path, {"output": 1}).ok()
        assert api.patch(path, {"output": 1}).ok() == first
        api.patch(path, {"output": 2}).refused(409, "conflict")


def test_empty_body_completes_a_trace(api: Client) -> None:
    trace = api.trace()
    assert api.request("PATCH", f"/api/traces/{trace['trace_id']}/complete").ok()["status"] == "ok"


def test_unknown_ids_are_not_found(api: Client) -> None:
    unknown = api.id("unknown")
    api.get(f"/api/traces/{unknown}").refused(404, "not_found")
    api.patch(f"/api/traces/{unknown}/complete", {}).refused(404, "not_found")
    api.patch(f"/api/spans/{unknown}/complete", {}).refused(404, "not_found")
    api.post(f"/api/traces/{unknown}/spans", {"name": "n"}).refused(404, "not_found")


def test_end_before_the_start_is_refused(api: Client) -> None:
    trace = api.trace(start_time=START)
    path = f"/api/traces/{trace['trace_id']}/complete"
    api.patch(path, {"end_time": "2026-11-22T09:59:59Z"}).refused(400, "invalid_field", "end_time")
    assert api.patch(path, {"end_time": START}).ok()["duration_ms"] == 0


def test_concurrent_creations_have_one_winner(api: Client) -> None:
    body = {"trace_id": api.id("trace"), "project_id": api.id("project"), "name": "n"}
    with ThreadPoolExecutor(8) as threads:
        responses = list(threads.map(lambda _: api.post("/api/traces", body), range(8)))
    assert sorted(response.status for response in responses) == [200] * 7 + [201]
    assert all(response.json == responses[0].json for response in responses)


def test_concurrent_completions_have_one_winner(api: Client) -> None:
    trace = api.trace()
    path = f"/api/traces/{trace['trace_id']}/complete"
    with ThreadPoolExecutor(8) as threads:
        responses = list(threads.map(lambda n: api.patch(path, {"output": n}), range(8)))
    assert sorted(response.status for response in responses) == [200] + [409] * 7
    winner = next(response.json for response in responses if response.status == 200)
    assert api.get(f"/api/traces/{trace['trace_id']}").ok()["output"] == winner["output"]


def test_concurrent_spans_are_all_kept(api: Client) -> None:
    trace = api.trace()
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda n: api.span(trace["trace_id"], name=f"span {n}"), range(24)))
    assert {span["span_id"] for span in spans_of(api, trace["trace_id"], 24)} == {span["span_id"] for span in made}


@pytest.mark.parametrize("length", [1000, 100_000])
def test_long_input_is_returned_unchanged(api: Client, length: int) -> None:
    text = "ä\"\\\n" * (length // 8)
    trace = api.trace(input=text)
    assert api.get(f"/api/traces/{trace['trace_id']}").ok()["input"] == text
