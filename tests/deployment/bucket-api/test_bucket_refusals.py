"""Refused requests and their errors."""

import pytest
from bucket_client import Bucket, Client


@pytest.mark.parametrize(
    ("query", "code", "field"),
    [
        ("limit=0", "invalid_parameter", "limit"),
        ("limit=1001", "invalid_parameter", "limit"),
        ("limit=-1", "invalid_parameter", "limit"),
        ("limit=many", "invalid_parameter", "limit"),
        ("limit=", "invalid_parameter", "limit"),
        ("limit=1&limit=2", "invalid_parameter", "limit"),
        ("cursor=", "invalid_cursor", "cursor"),
        ("cursor=AAAA", "invalid_cursor", "cursor"),
        ("prefix=a%00", "invalid_parameter", "prefix"),
        ("prefix=" + "p" * 1025, "invalid_parameter", "prefix"),
        ("delimiter=%2F", "unknown_parameter", "delimiter"),
    ],
)
def test_invalid_parameter_is_refused(api: Client, query: str, code: str, field: str) -> None:
    api.request("GET", f"/objects?{query}").refused(400, code, field)


def test_cursor_is_valid_only_for_its_own_prefix(api: Client, bucket: Bucket) -> None:
    for name in "ab":
        bucket.put(f"own/{name}")
    _, cursor = api.keys(prefix=bucket.prefix + "own/", limit=1)
    assert cursor
    api.get("/objects", prefix=bucket.prefix, cursor=cursor).refused(400, "invalid_cursor", "cursor")
    api.get("/objects", cursor=cursor).refused(400, "invalid_cursor", "cursor")


def test_missing_object_is_not_found(api: Client, bucket: Bucket) -> None:
    api.describe(bucket.prefix + "nowhere").refused(404, "not_found")


def test_object_and_health_take_no_parameters(api: Client) -> None:
    api.request("GET", "/objects/a?versionId=1").refused(400, "unknown_parameter", "versionId")
    api.request("GET", "/health?verbose=1").refused(400, "unknown_parameter", "verbose")


@pytest.mark.parametrize("path", ["/", "/Objects", "/objectss", "/api/objects", "/health/deep"])
def test_unknown_path_is_not_found(api: Client, path: str) -> None:
    api.request("GET", path).refused(404, "not_found")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["/health", "/objects", "/objects/kept"])
def test_write_methods_are_not_allowed(api: Client, method: str, path: str) -> None:
    response = api.request(method, path)
    response.refused(405, "method_not_allowed")
    assert response.headers["allow"] == "GET"


def test_object_survives_a_delete_request(api: Client, bucket: Bucket) -> None:
    key = bucket.put("kept")
    api.request("DELETE", f"/objects/{key}").refused(405, "method_not_allowed")
    assert api.describe(key).ok()["key"] == key
