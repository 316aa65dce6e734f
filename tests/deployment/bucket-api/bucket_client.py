"""A client of the API that signs its requests, and the objects that the tests put into the bucket.

A request is sent once, without retries. Failures of the network (no such host, no response in time) raise
`urllib.error.URLError` or `TimeoutError`; missing AWS credentials raise `NoCredentials`.
"""

import json
import os
import urllib.error
import urllib.parse
import urllib.request
import uuid
from dataclasses import dataclass
from typing import Any, Mapping

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

# Enough for a cold start and the API's own time limit for its storage.
WITHIN_SECONDS = 20


class NoCredentials(Exception):
    """There are no credentials to sign with."""


@dataclass
class Response:
    """A response."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    def ok(self) -> Any:
        """Returns the body; the status must be 200."""
        assert self.status == 200, f"{self.status} instead of 200: {self.text}"
        return self.json

    def refused(self, status: int, code: str, field: str | None = None) -> dict[str, Any]:
        """Returns the error, which must be the expected one."""
        assert self.status == status, f"{self.status} instead of {status}: {self.text}"
        error = self.json["error"]
        assert (error["code"], error.get("field")) == (code, field), error
        assert error["message"]
        return error


class Client:
    """Sends requests to one API, signed for the service `sign_for` where the API requires it."""

    def __init__(self, base_url: str, sign_for: str | None) -> None:
        self.base_url = base_url.rstrip("/")
        self.sign_for = sign_for
        session = boto3.Session()
        self.region = session.region_name or os.environ.get("AWS_REGION") or "eu-central-1"
        self.credentials = session.get_credentials()
        if sign_for and self.credentials is None:
            raise NoCredentials("requests are signed, and there are no AWS credentials")

    def request(
        self, method: str, path: str, *, signed: bool = True, secret: str | None = None, sent_path: str | None = None
    ) -> Response:
        """Sends a request; optionally unsigned, signed with another secret, or sent to `sent_path` with the signature of `path`."""
        url = self.base_url + path
        headers: dict[str, str] = {}
        if signed and self.sign_for:
            headers = self._signature(method, url, secret)
        request = urllib.request.Request(self.base_url + (sent_path or path), method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=WITHIN_SECONDS) as response:
                return Response(response.status, response.headers, response.read().decode())
        except urllib.error.HTTPError as error:
            return Response(error.code, error.headers, error.read().decode())

    def get(self, path: str, **query: Any) -> Response:
        # SigV4 encodes a space as %20.
        text = urllib.parse.urlencode(query, quote_via=urllib.parse.quote)
        return self.request("GET", path + (f"?{text}" if text else ""))

    def describe(self, key: str) -> Response:
        return self.get("/objects/" + urllib.parse.quote(key))

    def keys(self, **query: Any) -> tuple[list[str], str | None]:
        """Returns the keys of a page, and the next cursor."""
        page = self.get("/objects", **query).ok()
        return [found["key"] for found in page["objects"]], page["next_cursor"]

    def _signature(self, method: str, url: str, secret: str | None) -> dict[str, str]:
        frozen = self.credentials.get_frozen_credentials()
        credentials = Credentials(frozen.access_key, secret or frozen.secret_key, frozen.token)
        request = AWSRequest(method, url)
        SigV4Auth(credentials, self.sign_for, self.region).add_auth(request)
        return dict(request.headers.items())


class Bucket:
    """Puts objects below a prefix that no other run uses, and deletes them at the end."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.prefix = f"deployment-test-{uuid.uuid4().hex[:12]}/"
        style = {"addressing_style": "path"} if os.environ.get("AWS_ENDPOINT_URL") else {}
        # boto3 itself reads only AWS_DEFAULT_REGION.
        self.s3 = boto3.client("s3", region_name=os.environ.get("AWS_REGION"), config=Config(s3=style))

    def put(self, key: str, content: bytes = b"x", **more: Any) -> str:
        """Puts an object below the prefix, and returns its full key."""
        self.s3.put_object(Bucket=self.name, Key=self.prefix + key, Body=content, **more)
        return self.prefix + key

    def delete(self, key: str) -> None:
        self.s3.delete_object(Bucket=self.name, Key=key)

    def clean_up(self) -> int:
        """Deletes every version of every object below the prefix, and returns their number."""
        deleted = 0
        for page in self.s3.get_paginator("list_object_versions").paginate(Bucket=self.name, Prefix=self.prefix):
            versions = page.get("Versions", []) + page.get("DeleteMarkers", [])
            for version in versions:
                self.s3.delete_object(Bucket=self.name, Key=version["Key"], VersionId=version["VersionId"])
            deleted += len(versions)
        return deleted
