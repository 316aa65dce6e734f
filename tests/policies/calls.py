"""Maps a recorded request to its operation and parameters, by botocore's service models.

In: a line of calls.jsonl. Out: service, operation and parameters as the SDKs name them. What can go wrong: a request that
is not an operation of the service that it was signed for. That is an error: a call that is not understood is not judged.
"""

import base64
import json
import re
import urllib.parse

from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import Request, determine_request_protocol
from moto.core.routing import get_service_router
from moto.core.utils import get_service_model

# The scope of a signature, where it differs from the service's name.
SERVICES = {"monitoring": "cloudwatch", "apigateway": "apigatewayv2"}


class Call:
    """A request with its service, operation and parameters."""

    def __init__(self, line):
        self.stack, self.step, self.status, self.answer = line["stack"], line["step"], line["status"], line["answer"]
        self.method, self.path = line["method"], urllib.parse.unquote(line["path"])
        self.if_none_match = line["headers"].get("if-none-match")
        scope = re.search(r"Credential=([^/]+)/\d+/([^/]+)/([^/]+)/", line["headers"].get("authorization", ""))
        self.is_signed = bool(scope)
        addressed = re.match(r"/_slipway/(execute-api|lambda-url)/([^/]+)(/.*)?$", self.path)
        if addressed:
            # A request to a deployed function, not to a service.
            self.service, self.operation = addressed[1], "Invoke"
            self.params = {"id": addressed[2], "path": (addressed[3] or "/").lstrip("/")}
            return
        if not scope:
            raise ValueError(f"{line['method']} {line['path']} has no signature")
        self.service = SERVICES.get(scope[3], scope[3])
        headers = {name: value for name, value in line["headers"].items() if name not in ("transfer-encoding", "content-length")}
        query = f"?{line['query']}" if line["query"] else ""
        request = Request.from_primitives(line["method"], f"http://{headers.pop('host')}{line['path']}{query}", headers, base64.b64decode(line["body"]))
        operation, found = get_service_router(self.service).match(request)
        self.operation = operation.name
        if self.service == "s3":
            # Bodies of objects are not needed; the path has the rest.
            self.params = {name: urllib.parse.unquote(value) for name, value in found.items()} | {name: request.args[name] for name in request.args}
            return
        model = get_service_model(self.service)
        parser = PROTOCOL_PARSERS[determine_request_protocol(model, request.content_type)](operation)
        self.params = json.loads(json.dumps(parser.parse({
            "method": request.method, "values": request.values, "headers": request.headers, "body": request.data,
            "url_path": request.path, "url_params": found,
        }), default=str))
        for name, value in self.params.items():
            if isinstance(value, str) and "%3A" in value:
                self.params[name] = urllib.parse.unquote(value)

    def tags(self):
        """Returns the tags in the request, by key."""
        found = self.params.get("Tags") or self.params.get("tags") or self.params.get("ResourceTags") or {}
        if isinstance(found, dict):
            return found
        names = ("Key", "TagKey", "key"), ("Value", "TagValue", "value")
        return {next(tag[n] for n in names[0] if n in tag): next((tag[n] for n in names[1] if n in tag), "") for tag in found}

    def find_in_response(self, pattern):
        """Returns all matches of a pattern's first group in the response."""
        return re.findall(pattern, self.answer)
