"""Who may call, where the API wants signed requests."""

import pytest
from bucket_client import Client

PATHS = ["/health", "/objects", "/objects/a", "/nowhere"]


@pytest.fixture(autouse=True)
def is_signed(api: Client) -> None:
    if not api.sign_for:
        pytest.skip("SIGN_FOR is not set: this API lets in everybody")


@pytest.mark.parametrize("path", PATHS)
def test_who_does_not_sign_is_refused(api: Client, path: str) -> None:
    answer = api.request("GET", path, signed=False)
    assert answer.status == 403, answer.text
    # The gateway's words: the function was not asked.
    assert "error" not in answer.json and answer.json["message"] == "Forbidden"


@pytest.mark.parametrize("path", PATHS)
def test_who_signs_with_another_secret_is_refused(api: Client, path: str) -> None:
    answer = api.request("GET", path, secret="not-the-secret-of-this-key")
    assert answer.status == 403, answer.text


@pytest.mark.parametrize(
    ("signed", "sent"),
    [("/health", "/objects"), ("/objects?limit=1", "/objects?limit=1000"), ("/objects/a", "/objects/b")],
)
def test_a_signature_holds_for_its_own_request(api: Client, signed: str, sent: str) -> None:
    answer = api.request("GET", signed, spoil=sent)
    assert answer.status == 403, answer.text
