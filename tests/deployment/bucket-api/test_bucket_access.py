"""Access to an API that requires signed requests."""

import pytest
from bucket_client import Client

PATHS = ["/health", "/objects", "/objects/a", "/nowhere"]


@pytest.fixture(autouse=True)
def require_signed_api(api: Client) -> None:
    if not api.sign_for:
        pytest.skip("SIGN_FOR is not set: this API accepts unsigned requests")


@pytest.mark.parametrize("path", PATHS)
def test_unsigned_request_is_refused(api: Client, path: str) -> None:
    response = api.request("GET", path, signed=False)
    assert response.status == 403, response.text
    # The gateway's own error: the function was not called.
    assert "error" not in response.json and response.json["message"] == "Forbidden"


@pytest.mark.parametrize("path", PATHS)
def test_request_signed_with_another_secret_is_refused(api: Client, path: str) -> None:
    response = api.request("GET", path, secret="not-the-secret-of-this-key")
    assert response.status == 403, response.text


@pytest.mark.parametrize(
    ("signed", "sent"),
    [("/health", "/objects"), ("/objects?limit=1", "/objects?limit=1000"), ("/objects/a", "/objects/b")],
)
def test_signature_is_valid_only_for_its_own_request(api: Client, signed: str, sent: str) -> None:
    response = api.request("GET", signed, sent_path=sent)
    assert response.status == 403, response.text
