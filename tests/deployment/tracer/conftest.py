"""The API under test, and the cleanup after a run."""

import os
from collections.abc import Iterator

import pytest
from tracer_client import Client

CLEANED_UP = pytest.StashKey[str]()


@pytest.fixture(scope="session")
def api(request: pytest.FixtureRequest) -> Iterator[Client]:
    """The API under test. Everything that the tests created is deleted at the end."""
    url, key = os.environ.get("TRACER_URL"), os.environ.get("API_KEY")
    if not url or not key:
        reason = "TRACER_URL and API_KEY must name the API under test"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    client = Client(url, key)
    yield client
    request.config.stash[CLEANED_UP] = clean_up(client)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if CLEANED_UP in config.stash:
        terminalreporter.write_line(config.stash[CLEANED_UP])


def clean_up(client: Client) -> str:
    """Deletes everything that the tests created; returns a summary of what was deleted or left."""
    created = f"{len(client.traces)} traces and {len(client.spans)} spans of the projects deployment-test-{client.run}-*"
    tables = {"TRACES_TABLE": ("trace_id", client.traces), "SPANS_TABLE": ("span_id", client.spans)}
    missing = [name for name in tables if not os.environ.get(name)]
    if missing:
        return f"left in place: {created}; set {' and '.join(missing)} to delete them"
    try:
        import boto3
        from botocore.exceptions import ClientError
    except ImportError:
        return f"left in place: {created}; boto3 is needed to delete them"
    # boto3 itself reads only AWS_DEFAULT_REGION.
    dynamodb = boto3.resource("dynamodb", region_name=os.environ.get("AWS_REGION"))
    for name, (attribute, ids) in tables.items():
        try:
            with dynamodb.Table(os.environ[name]).batch_writer() as batch:
                for item_id in sorted(ids):
                    batch.delete_item(Key={attribute: item_id})
        except ClientError as refused:
            # What the tests found stands whether or not their records can be deleted.
            return (
                f"left in place, not all of it deleted: {created}: {refused}; "
                f"the role needs dynamodb:BatchWriteItem on {os.environ[name]}: `suites` of ci-roles"
            )
    return f"deleted: {created}"
