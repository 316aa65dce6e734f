"""Where the API and its bucket are, and the cleaning up after a run."""

import os
from collections.abc import Iterator

import pytest
from bucket_client import Bucket, Client, NoCredentials


def given(*names: str) -> list[str]:
    """The environment variables, or no test."""
    missing = [name for name in names if not os.environ.get(name)]
    if missing:
        words = f"{' and '.join(missing)} must say what is tested"
        pytest.fail(words) if os.environ.get("CI") == "true" else pytest.skip(words)
    return [os.environ[name] for name in names]


@pytest.fixture(scope="session")
def api() -> Client:
    """The API under test."""
    (url,) = given("BASE_URL")
    try:
        return Client(url, os.environ.get("SIGN_FOR") or None)
    except NoCredentials as error:
        pytest.fail(str(error))


@pytest.fixture(scope="session")
def bucket(request: pytest.FixtureRequest) -> Iterator[Bucket]:
    """The bucket that the API lists. What was put there is deleted in the end."""
    (name,) = given("BUCKET")
    bucket = Bucket(name)
    yield bucket
    gone = bucket.clean_up()
    reporter = request.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        reporter.write_line("")
        reporter.write_line(f"deleted: {gone} versions below {bucket.prefix}")
