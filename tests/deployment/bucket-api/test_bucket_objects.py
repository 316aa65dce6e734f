"""What is in the bucket: listed, described, page by page."""

import concurrent.futures
import hashlib
from datetime import datetime, timedelta, timezone

import pytest
from bucket_client import Bucket, Client

# Keys that something on the way might garble. A question mark is not among them: API Gateway takes what stands behind
# it for the query, even where it is encoded.
ODD = [" b", "%41", "+c", "<&>'\"", "a=b&c;d", "deep/er/still", "ä/ö", "日本", "{x}", "~!$()*,:@"]


@pytest.fixture(scope="module")
def seven(bucket: Bucket) -> list[str]:
    """Seven objects below a prefix of their own, in the order of their keys."""
    return [bucket.put(f"seven/{number}.txt") for number in range(7)]


def test_health(api: Client) -> None:
    answer = api.get("/health")
    assert answer.ok() == {"status": "ok"}
    assert answer.headers["x-request-id"]


def test_lists_key_size_time_and_etag(api: Client, bucket: Bucket) -> None:
    key = bucket.put("listed.txt", b"four")
    answer = api.get("/objects", prefix=key)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    (found,) = answer.ok()["objects"]
    assert set(found) == {"key", "size", "last_modified", "etag"}
    assert (found["key"], found["size"]) == (key, 4)
    age = datetime.now(timezone.utc) - datetime.fromisoformat(found["last_modified"])
    assert timedelta(minutes=-5) < age < timedelta(minutes=5), "RFC 3339, and just now"


def test_describes_an_object(api: Client, bucket: Bucket) -> None:
    key = bucket.put("described.txt", b"four", ContentType="text/plain", Metadata={"origin": "tests"})
    found = api.describe(key).ok()
    assert (found["key"], found["size"], found["content_type"]) == (key, 4, "text/plain")
    assert found["metadata"] == {"origin": "tests"}
    assert found["storage_class"] == "STANDARD"
    (listed,) = api.get("/objects", prefix=key).ok()["objects"]
    assert {name: found[name] for name in listed} == listed, "both say the same"


def test_a_new_version_is_described_as_such(api: Client, bucket: Bucket) -> None:
    key = bucket.put("versions.txt", b"one")
    first = api.describe(key).ok()["version_id"]
    bucket.put("versions.txt", b"two two")
    found = api.describe(key).ok()
    assert found["size"] == 7
    assert first and found["version_id"] and found["version_id"] != first, "the bucket keeps versions"
    bucket.delete(key)
    api.describe(key).refused(404, "not_found")
    assert api.keys(prefix=key) == ([], None)


@pytest.mark.parametrize("odd", ODD)
def test_any_key_comes_back_as_it_was_put(api: Client, bucket: Bucket, odd: str) -> None:
    # By its digest, or one would be the prefix of another.
    folder = hashlib.sha256(odd.encode()).hexdigest()[:8]
    key = bucket.put(f"odd/{folder}/{odd}")
    assert api.keys(prefix=key) == ([key], None)
    assert api.describe(key).ok()["key"] == key


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8, 1000])
def test_pages_hold_everything_once(api: Client, bucket: Bucket, seven: list[str], limit: int) -> None:
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


def test_what_changes_between_two_pages_moves_nothing(api: Client, bucket: Bucket) -> None:
    prefix = bucket.prefix + "moving/"
    keys = [bucket.put(f"moving/{letter}") for letter in "bdf"]
    page, cursor = api.keys(prefix=prefix, limit=2)
    assert page == keys[:2]
    bucket.put("moving/a")
    bucket.delete(keys[1])
    assert api.keys(prefix=prefix, limit=2, cursor=cursor) == ([keys[2]], None)


def test_a_hundred_objects_are_the_usual_page(api: Client, bucket: Bucket) -> None:
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: bucket.put(f"many/{number:03}"), range(101)))
    page, cursor = api.keys(prefix=bucket.prefix + "many/")
    assert len(page) == 100 and cursor
    page, cursor = api.keys(prefix=bucket.prefix + "many/", cursor=cursor)
    assert page == [bucket.prefix + "many/100"] and cursor is None


def test_a_prefix_without_objects_is_empty(api: Client, bucket: Bucket) -> None:
    assert api.keys(prefix=bucket.prefix + "nothing/") == ([], None)


def test_many_callers_at_once(api: Client, bucket: Bucket, seven: list[str]) -> None:
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda key: api.describe(key), seven * 3))
    assert [answer.ok()["key"] for answer in answers] == seven * 3
