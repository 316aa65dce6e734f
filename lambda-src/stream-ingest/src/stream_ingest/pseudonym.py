"""Replaces whom an event is about by a pseudonym: the same one each time, and nobody's without the key.

Goes wrong: KeyUnavailable, where the secret cannot be read or holds no usable key.
"""

import hashlib
import hmac

from botocore.exceptions import BotoCoreError, ClientError

# Shorter keys can be searched for, https://datatracker.ietf.org/doc/html/rfc2104#section-3.
MIN_KEY_BYTES = 32


class KeyUnavailable(RuntimeError):
    """The secret with the pseudonyms' key is missing, unreadable or too short; the message names it, never its value."""


class Pseudonyms:
    """Makes pseudonyms with one key."""

    def __init__(self, key: bytes):
        self._key = key

    def of(self, subject: str) -> str:
        """Returns the HMAC-SHA-256 of a subject, in hexadecimal."""
        return hmac.new(self._key, subject.encode(), hashlib.sha256).hexdigest()


def read(client, secret: str) -> Pseudonyms:
    """Reads the key from Secrets Manager; raises KeyUnavailable."""
    try:
        answer = client.get_secret_value(SecretId=secret)
    except (BotoCoreError, ClientError) as error:
        code = error.response["Error"]["Code"] if isinstance(error, ClientError) else type(error).__name__
        raise KeyUnavailable(
            f"the key of the pseudonyms cannot be read: {code} for the secret {secret}; "
            "put a value with `aws secretsmanager put-secret-value` and see that the function's role may read it"
        ) from None
    key = answer.get("SecretString", "").strip().encode() or answer.get("SecretBinary", b"")
    if len(key) < MIN_KEY_BYTES:
        raise KeyUnavailable(
            f"the secret {secret} holds {len(key)} bytes; a key of the pseudonyms has {MIN_KEY_BYTES} at least"
        )
    return Pseudonyms(key)
