"""GitHub's identity provider and AWS's check of its tokens, for the workflows that `act` runs on this machine.

It serves what a runner's job asks GitHub for (a token that says which job of which workflow it is), the keys that verify such a token, and
STS's AssumeRoleWithWebIdentity. The claims come from the workflow that is run, as in GitHub: a job gets `environment` only if the workflow
gives it one and the environment's own rules allow the ref. A role is given only if its trust policy, as it is stored in the emulated account,
allows the token's claims; the emulator alone would give any role to anybody.

In: `--workflows FOLDER` (of the commit that runs), `--emulator URL`, `--rules FILE` (JSON: environment -> list of refs that its branch rules
allow), `--state FOLDER`. Out: one line on stdout, `listening on URL`; every token and decision is a line of STATE/decisions.jsonl.
What it does not show: a job that lies about its own name (GITHUB_JOB) gets that job's token; GitHub knows which job asks.
"""

import argparse
import base64
import fnmatch
import http.server
import json
import pathlib
import re
import threading
import time
import urllib.parse
import urllib.request
import uuid

import boto3
import yaml
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

AUDIENCE = "sts.amazonaws.com"


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Refused(Exception):
    """A request that GitHub or AWS would refuse, with the reason."""


class Issuer:
    """Signs and verifies tokens."""

    def __init__(self, url):
        self.url = url
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def keys(self):
        numbers = self.key.public_key().public_numbers()
        size = (numbers.n.bit_length() + 7) // 8
        return {
            "keys": [
                {
                    "kty": "RSA",
                    "use": "sig",
                    "alg": "RS256",
                    "kid": "road",
                    "n": encode(numbers.n.to_bytes(size, "big")),
                    "e": encode(numbers.e.to_bytes(3, "big")),
                }
            ]
        }

    def sign(self, claims):
        header = {"alg": "RS256", "typ": "JWT", "kid": "road"}
        signed = ".".join(encode(json.dumps(part).encode()) for part in (header, claims))
        signature = self.key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{encode(signature)}"

    def verify(self, token):
        signed, _, signature = token.rpartition(".")
        self.key.public_key().verify(decode(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        claims = json.loads(decode(signed.split(".")[1]))
        if not claims["nbf"] <= time.time() < claims["exp"]:
            raise Refused("the token is not valid now")
        return claims


def environment_of(workflow, job, inputs, matrix):
    """Returns the environment that a workflow gives a job, with the run's inputs filled in."""
    declared = workflow["jobs"][job].get("environment")
    declared = declared.get("name") if isinstance(declared, dict) else declared
    if declared is None:
        return None

    def fill(match):
        kind, name = match.group(1), match.group(2)
        return {"inputs": inputs, "matrix": matrix}[kind].get(name, "")

    return re.sub(r"\$\{\{\s*(inputs|matrix)\.([a-z_-]+)\s*\}\}", fill, declared)


def may_request_tokens(workflow, job):
    permissions = workflow["jobs"][job].get("permissions", workflow.get("permissions", {}))
    return isinstance(permissions, dict) and permissions.get("id-token") == "write"


def condition_holds(operator, wanted, found):
    """Evaluates one condition of a trust policy."""
    wanted = [wanted] if isinstance(wanted, str) else wanted
    if found is None:
        return False
    if operator == "StringEquals":
        return found in wanted
    if operator == "StringLike":
        return any(fnmatch.fnmatchcase(found, pattern) for pattern in wanted)
    raise Refused(f"the condition operator {operator} is not known here")


def trusts(policy, provider, host, claims):
    """Tells whether a trust policy allows a token; a statement without a condition on its claims allows none."""
    for statement in policy["Statement"]:
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        if statement["Effect"] != "Allow" or "sts:AssumeRoleWithWebIdentity" not in actions:
            continue
        federated = statement.get("Principal", {}).get("Federated")
        if federated != provider:
            continue
        conditions = [
            condition_holds(operator, wanted, claims.get(key.removeprefix(f"{host}:")))
            for operator, keys in statement.get("Condition", {}).items()
            for key, wanted in keys.items()
        ]
        if conditions and all(conditions):
            return True
    return False


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
        if url.path == "/.well-known/openid-configuration":
            self.answer(200, {"issuer": road.issuer.url, "jwks_uri": f"{road.issuer.url}/.well-known/jwks"})
        elif url.path == "/.well-known/jwks":
            self.answer(200, road.issuer.keys())
        elif url.path == "/token":
            try:
                self.answer(200, {"value": road.token(query)})
            except Refused as why:
                self.answer(403, {"message": str(why)})
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

    def __init__(self, arguments, url):
        self.issuer = Issuer(url)
        self.workflows = pathlib.Path(arguments.workflows)
        self.emulator = arguments.emulator
        self.rules = json.loads(pathlib.Path(arguments.rules).read_text())
        self.decisions = pathlib.Path(arguments.state) / "decisions.jsonl"
        self.lock = threading.Lock()

    def note(self, **decision):
        with self.lock, self.decisions.open("a") as file:
            file.write(json.dumps(decision) + "\n")

    def token(self, query):
        """Returns a token for a job; the query is what the runner knows of its job."""
        workflow = yaml.safe_load((self.workflows / query["workflow"]).read_text())
        job, ref = query["job"], query["ref"]
        if not may_request_tokens(workflow, job):
            raise Refused(f"the job {job} has no permission id-token: write")
        inputs = json.loads(query.get("inputs", "{}"))
        matrix = json.loads(query.get("matrix", "{}"))
        environment = environment_of(workflow, job, inputs, matrix)
        # GitHub makes an environment that nobody made, without rules: then every ref may use it.
        allowed = self.rules.get(environment, [ref])
        if environment is not None and ref not in allowed:
            self.note(token=job, environment=environment, ref=ref, given=False)
            raise Refused(f"{ref} may not deploy to the environment {environment}")
        repository = query["repository"]
        subject = f"environment:{environment}" if environment else f"ref:{ref}"
        if not environment and query.get("event") == "pull_request":
            subject = "pull_request"
        now = int(time.time())
        path = f".github/workflows/{query['workflow']}"
        claims = {
            "iss": self.issuer.url,
            "aud": query.get("audience", AUDIENCE),
            "sub": f"repo:{repository}:{subject}",
            "jti": str(uuid.uuid4()),
            "iat": now,
            "nbf": now - 5,
            "exp": now + 600,
            "repository": repository,
            "repository_id": "1",
            "repository_owner": repository.split("/")[0],
            "repository_owner_id": "2",
            "ref": ref,
            "ref_type": "branch",
            "sha": query["sha"],
            "workflow": workflow["name"],
            "workflow_ref": f"{repository}/{path}@{ref}",
            "job_workflow_ref": f"{repository}/{path}@{ref}",
            "run_id": query["run"],
            "run_attempt": "1",
            "actor": query.get("actor", "octocat"),
            "event_name": query.get("event", "push"),
            "runner_environment": "github-hosted",
        }
        if environment:
            claims["environment"] = environment
        self.note(token=job, environment=environment, ref=ref, given=True)
        return self.issuer.sign(claims)

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
        except Exception:
            self.note(role=role, sub=claims["sub"], given=False, why="no such role")
            raise Refused(f"{role} does not exist") from None
        host = self.issuer.url.partition("://")[2]
        trusted = any(
            trusts(policy["AssumeRolePolicyDocument"], f"arn:aws:iam::{account}:oidc-provider/{known}", known, claims)
            for known in (host, "token.actions.githubusercontent.com")
        )
        self.note(role=role, sub=claims["sub"], given=trusted)
        if not trusted:
            raise Refused(f"Not authorized to perform sts:AssumeRoleWithWebIdentity on {role} as {claims['sub']}")
        session = form.get("RoleSessionName", "road")
        given = self.client("sts").assume_role(RoleArn=role, RoleSessionName=session)["Credentials"]
        return (
            "<AssumeRoleWithWebIdentityResponse xmlns='https://sts.amazonaws.com/doc/2011-06-15/'>"
            "<AssumeRoleWithWebIdentityResult><Credentials>"
            f"<AccessKeyId>{given['AccessKeyId']}</AccessKeyId><SecretAccessKey>{given['SecretAccessKey']}</SecretAccessKey>"
            f"<SessionToken>{given['SessionToken']}</SessionToken><Expiration>{given['Expiration'].isoformat()}</Expiration>"
            "</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
        )

    def client(self, service, credentials=None):
        credentials = credentials or {"AccessKeyId": "road", "SecretAccessKey": "road", "SessionToken": None}
        return boto3.client(
            service,
            endpoint_url=self.emulator,
            region_name="eu-central-1",
            aws_access_key_id=credentials["AccessKeyId"],
            aws_secret_access_key=credentials["SecretAccessKey"],
            aws_session_token=credentials["SessionToken"],
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name in ("--workflows", "--emulator", "--rules", "--state"):
        parser.add_argument(name, required=True)
    arguments = parser.parse_args()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    url = f"http://127.0.0.1:{server.server_address[1]}"
    server.road = Road(arguments, url)
    print(f"listening on {url}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
