"""Where the API is, and the cleaning up after a run."""

import os
from collections.abc import Iterator

import pytest
from tracer_client import Client

CLEANED_UP = pytest.StashKey[str]()


@pytest.fixture(scope="session")
def api(request: pytest.FixtureRequest) -> Iterator[Client]:
    """The API under test. What was made through it is deleted in the end."""
    url, key = os.environ.get("TRACER_URL"), os.environ.get("API_KEY")
    if not url or not key:
        words = "TRACER_URL and API_KEY say which API is tested, and are not set"
        pytest.fail(words) if os.environ.get("CI") == "true" else pytest.skip(words)
    client = Client(url, key)
    yield client
    request.config.stash[CLEANED_UP] = clean_up(client)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if CLEANED_UP in config.stash:
        terminalreporter.write_line(config.stash[CLEANED_UP])


def clean_up(client: Client) -> str:
    """Deletes what was made, and says what it did or left."""
    made = f"{len(client.traces)} traces and {len(client.spans)} spans of the projects deployment-test-{client.run}-*"
    tables = {"TRACES_TABLE": ("trace_id", client.traces), "SPANS_TABLE": ("span_id", client.spans)}
    missing = [name for name in tables if not os.environ.get(name)]
    if missing:
        return f"left in place: {made}; {' and '.join(missing)} would say where to delete them"
    try:
        import boto3
    except ImportError:
        return f"left in place: {made}; boto3 is needed to delete them"
    # boto3 itself reads AWS_DEFAULT_REGION alone.
    dynamodb = boto3.resource("dynamodb", region_name=os.environ.get("AWS_REGION"))
    for name, (attribute, ids) in tables.items():
        with dynamodb.Table(os.environ[name]).batch_writer() as batch:
            for made_id in sorted(ids):
                batch.delete_item(Key={attribute: made_id})
    return f"deleted: {made}"
