"""Listing, paging and describing the objects in the bucket."""

import concurrent.futures
import hashlib
from datetime import datetime, timedelta, timezone

import pytest
from bucket_client import Bucket, Client

# Keys that may get garbled on the way. A question mark is not among them: API Gateway treats the rest of the path as
# the query, even if the question mark is encoded.
UNUSUAL = [" b", "%41", "+c", "<&>'\"", "a=b&c;d", "deep/er/still", "ä/ö", "日本", "{x}", "~!$()*,:@"]


@pytest.fixture(scope="module")
def seven(bucket: Bucket) -> list[str]:
    """Seven objects below a prefix of their own, in the order of their keys."""
    return [bucket.put(f"seven/{number}.txt") for number in range(7)]


def test_health_is_ok(api: Client) -> None:
    response = api.get("/health")
    assert response.ok() == {"status": "ok"}
    assert response.headers["x-request-id"]


def test_listing_has_key_size_time_and_etag(api: Client, bucket: Bucket) -> None:
    key = bucket.put("listed.txt", b"four")
    response = api.get("/objects", prefix=key)
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    (found,) = response.ok()["objects"]
    assert set(found) == {"key", "size", "last_modified", "etag"}
    assert (found["key"], found["size"]) == (key, 4)
    age = datetime.now(timezone.utc) - datetime.fromisoformat(found["last_modified"])
    assert timedelta(minutes=-5) < age < timedelta(minutes=5), "RFC 3339, and just now"


def test_object_is_described(api: Client, bucket: Bucket) -> None:
    key = bucket.put("described.txt", b"four", ContentType="text/plain", Metadata={"origin": "tests"})
    found = api.describe(key).ok()
    assert (found["key"], found["size"], found["content_type"]) == (key, 4, "text/plain")
    assert found["metadata"] == {"origin": "tests"}
    assert found["storage_class"] == "STANDARD"
    (listed,) = api.get("/objects", prefix=key).ok()["objects"]
    assert {name: found[name] for name in listed} == listed, "both say the same"


def test_new_version_of_an_object_has_its_own_id(api: Client, bucket: Bucket) -> None:
    key = bucket.put("versions.txt", b"one")
    first = api.describe(key).ok()["version_id"]
    bucket.put("versions.txt", b"two two")
    found = api.describe(key).ok()
    assert found["size"] == 7
    assert first and found["version_id"] and found["version_id"] != first, "the bucket has versioning enabled"
    bucket.delete(key)
    api.describe(key).refused(404, "not_found")
    assert api.keys(prefix=key) == ([], None)


@pytest.mark.parametrize("unusual", UNUSUAL)
def test_unusual_key_is_returned_unchanged(api: Client, bucket: Bucket, unusual: str) -> None:
    # In a folder named by its digest, since one key may be the prefix of another.
    folder = hashlib.sha256(unusual.encode()).hexdigest()[:8]
    key = bucket.put(f"unusual/{folder}/{unusual}")
    assert api.keys(prefix=key) == ([key], None)
    assert api.describe(key).ok()["key"] == key


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8, 1000])
def test_pages_contain_every_object_once(api: Client, bucket: Bucket, seven: list[str], limit: int) -> None:
    query = {"prefix": bucket.prefix + "seven/", "limit": limit}
    pages = []
    while True:
        keys, cursor = api.keys(**query)
        pages.append(keys)
        assert len(pages) <= len(seven), "the listing does not end"
        if cursor is None:
            break
        query["cursor"] = cursor
    assert [key for page in pages for key in page] == seven
    assert all(len(page) == limit for page in pages[:-1]) and 1 <= len(pages[-1]) <= limit


def test_changes_between_pages_do_not_shift_the_listing(api: Client, bucket: Bucket) -> None:
    prefix = bucket.prefix + "moving/"
    keys = [bucket.put(f"moving/{letter}") for letter in "bdf"]
    page, cursor = api.keys(prefix=prefix, limit=2)
    assert page == keys[:2]
    bucket.put("moving/a")
    bucket.delete(keys[1])
    assert api.keys(prefix=prefix, limit=2, cursor=cursor) == ([keys[2]], None)


def test_default_page_has_a_hundred_objects(api: Client, bucket: Bucket) -> None:
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: bucket.put(f"many/{number:03}"), range(101)))
    page, cursor = api.keys(prefix=bucket.prefix + "many/")
    assert len(page) == 100 and cursor
    page, cursor = api.keys(prefix=bucket.prefix + "many/", cursor=cursor)
    assert page == [bucket.prefix + "many/100"] and cursor is None


def test_prefix_without_objects_is_empty(api: Client, bucket: Bucket) -> None:
    assert api.keys(prefix=bucket.prefix + "nothing/") == ([], None)


def test_concurrent_callers_get_their_own_objects(api: Client, bucket: Bucket, seven: list[str]) -> None:
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(lambda key: api.describe(key), seven * 3))
    assert [response.ok()["key"] for response in responses] == seven * 3
