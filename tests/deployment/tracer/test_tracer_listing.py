"""Listing by project and time, and paging."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from tracer_client import Client


@pytest.fixture(scope="module")
def project(api: Client) -> tuple[str, list[str]]:
    """A project with seven traces a second apart, two of which have the same start; newest first."""
    project_id = api.id("project")
    ids = []
    for second in (0, 1, 2, 3, 4, 5, 5):
        trace = api.trace(project_id=project_id, trace_id=api.id("trace"), start_time=f"2026-11-22T10:00:0{second}Z")
        ids.insert(0, trace["trace_id"])
    deadline = time.monotonic() + 10
    # The index is updated with a delay.
    while len(api.get(f"/api/projects/{project_id}/traces").ok()["traces"]) < len(ids):
        assert time.monotonic() < deadline, "the index was not updated in time"
        time.sleep(0.2)
    return project_id, ids


def read_pages(api: Client, path: str, of: str, **query: Any) -> Iterator[list[dict]]:
    """Yields the pages, one after another."""
    while True:
        page = api.get(path, **query).ok()
        yield page[of]
        if page["next_cursor"] is None:
            return
        query["cursor"] = page["next_cursor"]


def test_traces_are_listed_newest_first(api: Client, project: tuple[str, list[str]]) -> None:
    project_id, ids = project
    listed = api.get(f"/api/projects/{project_id}/traces").ok()["traces"]
    assert {trace["trace_id"] for trace in listed[:2]} == set(ids[:2]), "these two have the same start"
    assert [trace["trace_id"] for trace in listed[2:]] == ids[2:]
    starts = [trace["start_time"] for trace in listed]
    assert starts == sorted(starts, reverse=True)


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
def test_pages_contain_every_trace_once(api: Client, project: tuple[str, list[str]], limit: int) -> None:
    project_id, ids = project
    pages = list(read_pages(api, f"/api/projects/{project_id}/traces", "traces", limit=limit))
    listed = [trace["trace_id"] for page in pages for trace in page]
    assert sorted(listed) == sorted(ids)
    assert all(len(page) == limit for page in pages[:-1]) and 1 <= len(pages[-1]) <= limit


def test_time_bounds_are_inclusive(api: Client, project: tuple[str, list[str]]) -> None:
    project_id, ids = project
    bounds = {"from": "2026-11-22T11:00:01+01:00", "to": "2026-11-22T10:00:03Z"}
    pages = list(read_pages(api, f"/api/projects/{project_id}/traces", "traces", limit=2, **bounds))
    assert [trace["trace_id"] for page in pages for trace in page] == ids[3:6]


def test_project_without_traces_is_empty(api: Client) -> None:
    assert api.get(f"/api/projects/{api.id('empty')}/traces").ok() == {"traces": [], "next_cursor": None}


def test_spans_are_listed_oldest_first_in_pages(api: Client) -> None:
    trace_id = api.trace()["trace_id"]
    made = [api.span(trace_id, start_time=f"2026-11-22T10:00:0{second}Z")["span_id"] for second in (3, 1, 0, 2, 4)]
    expected = [made[at] for at in (2, 1, 3, 0, 4)]
    deadline = time.monotonic() + 10
    while len(api.get(f"/api/traces/{trace_id}").ok()["spans"]) < len(made) and time.monotonic() < deadline:
        time.sleep(0.2)
    pages = list(read_pages(api, f"/api/traces/{trace_id}", "spans", limit=2))
    assert [span["span_id"] for page in pages for span in page] == expected
    assert len(pages) == 3


@pytest.mark.parametrize(
    ("query", "code", "field"),
    [
        ("limit=0", "invalid_parameter", "limit"),
        ("limit=201", "invalid_parameter", "limit"),
        ("limit=many", "invalid_parameter", "limit"),
        ("limit=1&limit=2", "invalid_parameter", "limit"),
        ("from=yesterday", "invalid_parameter", "from"),
        ("from=2026-11-23T00:00:00Z&to=2026-11-22T00:00:00Z", "invalid_parameter", "from"),
        ("cursor=", "invalid_cursor", "cursor"),
        ("cursor=AAAA", "invalid_cursor", "cursor"),
        ("offset=1", "unknown_parameter", "offset"),
    ],
)
def test_invalid_parameter_is_refused(api: Client, query: str, code: str, field: str) -> None:
    api.request("GET", f"/api/projects/p1/traces?{query}").refused(400, code, field)


def test_cursor_is_valid_only_for_its_own_listing(api: Client, project: tuple[str, list[str]]) -> None:
    project_id, ids = project
    cursor = api.get(f"/api/projects/{project_id}/traces", limit=1).ok()["next_cursor"]
    api.get("/api/projects/another/traces", cursor=cursor).refused(400, "invalid_cursor", "cursor")
    api.get(f"/api/traces/{ids[0]}", cursor=cursor).refused(400, "invalid_cursor", "cursor")
    late = {"to": "2026-11-22T10:00:01Z", "cursor": cursor}
    api.get(f"/api/projects/{project_id}/traces", **late).refused(400, "invalid_cursor", "cursor")
