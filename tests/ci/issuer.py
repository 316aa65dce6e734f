"""GitHub's server and AWS's check of its tokens, for the workflows that `act` runs on this machine.

It serves, over TLS as a GitHub Enterprise Server at 127.0.0.1 would, what a runner's job asks GitHub for (a token that says which job of
which workflow it is), the keys that verify such a token, the part of the API that `bootstrap` reads, and STS's AssumeRoleWithWebIdentity.
The claims come from the workflow that is run, as in GitHub: a job gets `environment` only if the workflow gives it one and the
environment's own rules allow the ref. A job of an environment with reviewers waits here for its approval: `act` itself has no such gate. A
role is given only if its trust policy, as it is stored in the emulated account, allows the token's claims; the emulator alone would give
any role to anybody.

In: `--emulator URL`; ROAD, the folder of the test, with what `repository.py` keeps; on stdin a line of JSON, the credentials of a role that
may assume every other one. Out: one line on stdout, `listening on URL`; every token and decision is a line of `$ROAD/decisions.jsonl`, every
key with its role one of `$ROAD/keys.jsonl`. It ends when stdin is closed. What it does not show: a job that lies about its own name (GITHUB_JOB) gets that job's token; GitHub knows which
job asks.
"""

import argparse
import base64
import http.server
import json
import os
import pathlib
import re
import ssl
import sys
import threading
import time
import urllib.parse
import uuid

import boto3
import certificate
import repository
import yaml
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from trust import Refused, trusts

AUDIENCE = "sts.amazonaws.com"
# How long a job waits for its approval.
APPROVAL_SECONDS = 900


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Issuer:
    """Signs and verifies tokens."""

    def __init__(self, url):
        self.url = url
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def keys(self):
        numbers = self.key.public_key().public_numbers()
        size = (numbers.n.bit_length() + 7) // 8
        n, e = encode(numbers.n.to_bytes(size, "big")), encode(numbers.e.to_bytes(3, "big"))
        return {"keys": [{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "road", "n": n, "e": e}]}

    def sign(self, claims):
        header = {"alg": "RS256", "typ": "JWT", "kid": "road"}
        signed = ".".join(encode(json.dumps(part).encode()) for part in (header, claims))
        signature = self.key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{encode(signature)}"

    def verify(self, token):
        signed, _, signature = token.rpartition(".")
        self.key.public_key().verify(decode(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        claims = json.loads(decode(signed.split(".")[1]))
        if not claims["nbf"] <= time.time() < claims["exp"] or claims["aud"] != AUDIENCE:
            raise Refused("the token is not valid now, or not for AWS")
        return claims


def environment_of(workflow, job, run):
    """Returns the environment that a workflow gives a job, with the run's inputs filled in."""
    declared = workflow["jobs"][job].get("environment")
    declared = declared.get("name") if isinstance(declared, dict) else declared
    if declared is None:
        return None
    return re.sub(r"\$\{\{\s*(inputs|matrix)\.([a-z_-]+)\s*\}\}", lambda match: run[match[1]].get(match[2], ""), declared)


def may_request_tokens(workflow, job):
    permissions = workflow["jobs"][job].get("permissions", workflow.get("permissions", {}))
    return isinstance(permissions, dict) and permissions.get("id-token") == "write"


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers a job's requests."""

    server_version = "road"

    def log_message(self, *_):
        pass

    def answer(self, status, body, kind="application/json"):
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        road = self.server.road
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        if url.path == "/_services/token/.well-known/openid-configuration":
            self.answer(200, {"issuer": road.issuer.url, "jwks_uri": f"{road.issuer.url}/.well-known/jwks"})
        elif url.path == "/_services/token/.well-known/jwks":
            self.answer(200, road.issuer.keys())
        elif url.path in ("/token", "/variable"):
            try:
                self.answer(200, {"value": road.token(query) if url.path == "/token" else road.variable(query)})
            except Refused as why:
                self.answer(403, {"message": str(why)})
        elif url.path.startswith("/api/v3/repos/acme/shop"):
            document = road.api(url.path.removeprefix("/api/v3/repos/acme/shop").strip("/"))
            self.answer(200 if document else 404, document or {"message": "Not Found"})
        else:
            self.answer(404, {"message": "not found"})

    def do_POST(self):
        length = int(self.headers.get("Content-Length", 0))
        form = dict(urllib.parse.parse_qsl(self.rfile.read(length).decode()))
        try:
            self.answer(200, self.server.road.assume(form), "text/xml")
        except Refused as why:
            body = f"<ErrorResponse><Error><Code>AccessDenied</Code><Message>{why}</Message></Error></ErrorResponse>"
            self.answer(403, body, "text/xml")


class Road:
    """What a run of a workflow is, and what it may have."""

    def __init__(self, emulator, credentials, url):
        self.issuer = Issuer(f"{url}/_services/token")
        self.emulator, self.credentials = emulator, credentials
        self.decisions = pathlib.Path(os.environ["ROAD"]) / "decisions.jsonl"
        self.lock = threading.Lock()

    def note(self, **decision):
        with self.lock, self.decisions.open("a") as file:
            file.write(json.dumps(decision) + "\n")

    def job(self, query):
        """Returns the run, the workflow as the commit that runs has it, and the environment of the job that asks."""
        run = repository.read("runs", query["run"]) or {}
        if not run:
            raise Refused(f"there is no run {query['run']}")
        workflow = yaml.safe_load((pathlib.Path(run["folder"]) / ".github/workflows" / run["workflow"]).read_text())
        if query["job"] not in workflow["jobs"]:
            raise Refused(f"the run {query['run']} has no job {query['job']}")
        return run, workflow, environment_of(workflow, query["job"], run)

    def variable(self, query):
        return repository.variable(query["name"], self.job(query)[2])

    def approved(self, query, environment):
        """Waits until somebody answers for a job of an environment with reviewers."""
        name = f"{query['run']}.{environment}"
        repository.write("waiting", name, {"job": query["job"]})
        until = time.monotonic() + APPROVAL_SECONDS
        while time.monotonic() < until:
            if answer := repository.read("approvals", name):
                if answer["state"] != "approved":
                    raise Refused(f"the deployment to {environment} was {answer['state']}: {answer['comment']}")
                return
            time.sleep(0.1)
        raise Refused(f"nobody approved the deployment to {environment}")

    def token(self, query):
        """Returns a token for a job; the query is what the runner knows of its job."""
        run, workflow, environment = self.job(query)
        job, ref = query["job"], run["ref"]
        if not may_request_tokens(workflow, job):
            self.note(token=job, environment=environment, ref=ref, given=False)
            raise Refused(f"the job {job} has no permission id-token: write")
        if environment is not None and not repository.allows(environment, ref):
            self.note(token=job, environment=environment, ref=ref, given=False)
            raise Refused(f"{ref} may not deploy to the environment {environment}")
        if environment is not None and repository.reviewers(environment):
            self.approved(query, environment)
        subject = f"environment:{environment}" if environment else f"ref:{ref}"
        if not environment and run["event"] == "pull_request":
            subject = "pull_request"
        now, path = int(time.time()), f"acme/shop/.github/workflows/{run['workflow']}@{ref}"
        claims = {
            "iss": self.issuer.url, "aud": query.get("audience", AUDIENCE), "sub": f"repo:acme/shop:{subject}", "jti": str(uuid.uuid4()),
            "iat": now, "nbf": now - 5, "exp": now + 600, "repository": "acme/shop", "repository_id": str(repository.REPOSITORY_ID),
            "repository_owner": "acme", "repository_owner_id": "2", "ref": ref, "ref_type": "branch", "sha": run["sha"],
            "workflow": workflow["name"], "workflow_ref": path, "job_workflow_ref": path, "run_id": str(query["run"]), "run_attempt": "1",
            "actor": run["actor"], "event_name": run["event"], "runner_environment": "github-hosted",
        }
        if environment:
            claims["environment"] = environment
        self.note(token=job, environment=environment, ref=ref, given=True)
        return self.issuer.sign(claims)

    def api(self, place):
        """Returns a document of GitHub's API; nothing where there is none."""
        if place == "":
            return {"id": repository.REPOSITORY_ID}
        if match := re.fullmatch(r"branches/([a-z]+)", place):
            return {"name": match[1], "protected": repository.read("branches", match[1]) is not None}
        match = re.fullmatch(r"environments/([a-z-]+)(/deployment-branch-policies)?", place)
        rules = match and repository.environment(match[1])
        if not rules:
            return None
        if match[2]:
            return {"branch_policies": [{"name": name, "type": "branch"} for name in rules["branches"]]}
        reviews = [{"type": "required_reviewers", "reviewers": rules["reviewers"]}] if rules.get("reviewers") else []
        return {"name": match[1], "protection_rules": reviews, "deployment_branch_policy": rules.get("deployment_branch_policy")}

    def assume(self, form):
        """Answers AssumeRoleWithWebIdentity."""
        if form.get("Action") != "AssumeRoleWithWebIdentity":
            raise Refused(f"{form.get('Action')} is not served here")
        try:
            claims = self.issuer.verify(form["WebIdentityToken"])
        except Refused:
            raise
        except Exception:
            raise Refused("the token's signature is not valid") from None
        role = form["RoleArn"]
        account, name = role.split(":")[4], role.rsplit("/", 1)[1]
        administrator = self.client("sts").assume_role(RoleArn=f"arn:aws:iam::{account}:role/road", RoleSessionName="road")
        try:
            policy = self.client("iam", administrator["Credentials"]).get_role(RoleName=name)["Role"]
        except Exception as error:
            self.note(role=role, sub=claims["sub"], given=False, why=str(error))
            raise Refused(f"{role} does not exist") from None
        trusted = trusts(policy["AssumeRolePolicyDocument"], account, claims)
        self.note(role=role, sub=claims["sub"], ref=claims["ref"], given=trusted)
        if not trusted:
            raise Refused(f"Not authorized to perform sts:AssumeRoleWithWebIdentity on {role} as {claims['sub']} of {claims['ref']}")
        given = self.client("sts").assume_role(RoleArn=role, RoleSessionName=form["RoleSessionName"])["Credentials"]
        with self.lock, (pathlib.Path(os.environ["ROAD"]) / "keys.jsonl").open("a") as file:
            file.write(json.dumps({"key": given["AccessKeyId"], "role": role}) + "\n")
        parts = {name: given[name] for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")}
        xml = "".join(f"<{name}>{value}</{name}>" for name, value in parts.items())
        return f"<AssumeRoleWithWebIdentityResponse><Credentials>{xml}</Credentials></AssumeRoleWithWebIdentityResponse>"

    def client(self, service, credentials=None):
        credentials = credentials or self.credentials
        return boto3.client(
            service, endpoint_url=self.emulator, region_name="eu-central-1", aws_access_key_id=credentials["AccessKeyId"],
            aws_secret_access_key=credentials["SecretAccessKey"], aws_session_token=credentials["SessionToken"],
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--emulator", required=True)
    emulator = parser.parse_args().emulator
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    _, own = certificate.make(pathlib.Path(os.environ["ROAD"]))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    url = f"https://127.0.0.1:{server.server_address[1]}"
    server.road = Road(emulator, json.loads(sys.stdin.readline()), url)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"listening on {url}", flush=True)
    # It ends with the test that started it.
    sys.stdin.read()


if __name__ == "__main__":
    main()
