"""The API under test, its bucket, and the cleanup after a run."""

import os
from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError
from bucket_client import Bucket, Client, NoCredentials


def variables(*names: str) -> list[str]:
    """Returns the values of environment variables; without one of them the tests are skipped, and fail with CI=true."""
    missing = [name for name in names if not os.environ.get(name)]
    if missing:
        reason = f"{' and '.join(missing)} must name what is tested"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    return [os.environ[name] for name in names]


@pytest.fixture(scope="session")
def api() -> Client:
    """The API under test."""
    (url,) = variables("BASE_URL")
    try:
        return Client(url, os.environ.get("SIGN_FOR") or None)
    except NoCredentials as error:
        pytest.fail(str(error))


@pytest.fixture(scope="session")
def bucket(request: pytest.FixtureRequest) -> Iterator[Bucket]:
    """The bucket that the API lists. The objects of the tests are deleted at the end."""
    (name,) = variables("BUCKET")
    bucket = Bucket(name)
    yield bucket
    try:
        summary = f"deleted: {bucket.clean_up()} versions below {bucket.prefix}"
    except ClientError as refused:
        # What the tests found stands whether or not their objects can be deleted.
        summary = (
            f"left in place, not all of it deleted: objects below {bucket.prefix}: {refused}; "
            "the role needs s3:DeleteObjectVersion there, and a place in the bucket's policy"
        )
    reporter = request.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        reporter.write_line("")
        reporter.write_line(summary)
