"""Replaces whom an event is about by a pseudonym: the same one each time, and nobody's without the key.

The key is read once for an instance and again after some minutes, so that a new one is used everywhere soon. Goes wrong:
KeyUnavailable, where the secret cannot be read or holds no usable key; a key that was read before is used for an hour more
while Secrets Manager does not answer.
"""

import hashlib
import hmac
import time
from collections.abc import Callable

from botocore.exceptions import BotoCoreError, ClientError

# Shorter keys can be searched for, https://datatracker.ietf.org/doc/html/rfc2104#section-3.
MIN_KEY_BYTES = 32

# How long a key is used before it is read again, and at most while it cannot be read, in seconds.
KEEP_SECONDS = 5 * 60
STALE_SECONDS = 60 * 60
# How long after a failure the secret is left alone, in seconds.
AGAIN_SECONDS = 20


class KeyUnavailable(RuntimeError):
    """The secret with the pseudonyms' key is missing, unreadable or too short; the message names it, never its value."""

    def __init__(self, message: str, *, is_lasting: bool = True):
        super().__init__(message)
        # Whether asking again does not help: then a key that was read before is not used any longer.
        self.is_lasting = is_lasting


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
        is_answer = isinstance(error, ClientError)
        code = error.response["Error"]["Code"] if is_answer else type(error).__name__
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) if is_answer else 0
        raise KeyUnavailable(
            f"the key of the pseudonyms cannot be read: {code} for the secret {secret}; "
            "put a value with `aws secretsmanager put-secret-value` and see that the function's role may read it",
            is_lasting=400 <= status < 500 and not code.startswith(("Throttling", "TooManyRequests")),
        ) from None
    key = answer.get("SecretString", "").strip().encode() or answer.get("SecretBinary", b"")
    if len(key) < MIN_KEY_BYTES:
        raise KeyUnavailable(
            f"the secret {secret} holds {len(key)} bytes; a key of the pseudonyms has {MIN_KEY_BYTES} at least"
        )
    return Pseudonyms(key)


class Renewed:
    """The pseudonyms of an instance, whose key is read anew from time to time."""

    def __init__(self, read_key: Callable[[], Pseudonyms], clock: Callable[[], float] = time.monotonic):
        self._read, self._clock = read_key, clock
        self._known = None
        self._read_at = self._tried_at = float("-inf")

    def current(self, on_failure: Callable[[KeyUnavailable], None]) -> Pseudonyms:
        """Returns the pseudonyms with the key as it is now.

        Raises KeyUnavailable. Where an older key is used instead, `on_failure` is told why.
        """
        now = self._clock()
        if self._known and (now - self._read_at < KEEP_SECONDS or now - self._tried_at < AGAIN_SECONDS):
            return self._known
        self._tried_at = now
        try:
            self._known, self._read_at = self._read(), now
        except KeyUnavailable as error:
            if error.is_lasting or self._known is None or now - self._read_at >= STALE_SECONDS:
                self._known = None
                raise
            on_failure(error)
        return self._known
