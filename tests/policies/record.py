"""Applies, plans, changes, recovers and destroys every stack of this repository in an emulated account, with the roles of ci-roles and
the emulator's IAM checks on, and records every AWS call.

In: a built tool (`cargo build --package xtask`), Slipway's tools (SLIPWAY_TOOLS), Terraform, git; this repository's files
as they are, with dev's values. Out: in the folder given, `calls.jsonl` (see recorder.py), `policies.json` (what the
bootstrap gave each role, the boundary and the account's state key, verbatim) and `stacks.json`. Any refusal by the
emulator ends the run with exit 1.

The emulator compares a Resource with `*` and supports few conditions. So it gets a copy of each policy in which every
Allow has no conditions and the resource `*`; a Deny is unchanged. Its own names of actions are added (MOTO_NAMES). The
exact policies are judged by evaluate.mjs.
"""

import argparse
import concurrent.futures
import glob
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

import boto3
import botocore.exceptions

from recorder import Listener, Record

ROOT = pathlib.Path(__file__).resolve().parents[2]
ACCOUNT = "222222222222"
REGION = "eu-central-1"
PREFIX = f"slipway-{ACCOUNT}-dev-"
ENVIRONMENT = "dev"

# The functions that are released here, by stack.
FUNCTIONS = {
    "bucket-api": ["bucket-api-zip"], "hello": ["hello"], "invoice": ["invoice"], "network": [],
    "stream-pipeline": ["stream-ingest"], "tracer": ["tracer"],
}

# Values that turn off what the emulator does not support (docs/limits.md) and that make a destroy quick. `declared.py` covers
# what is turned off.
EMULATED = {
    "bucket-api": {
        "emulated": "true", "make_alerts_topic": "false", "force_destroy": "true", "enable_dashboard": "true", "enable_error_alerts": "true",
        "enable_log_alerts": "true", "enable_api_alerts": "true", "reserved_concurrent_executions": "5",
    },
    "stream-pipeline": {
        "emulated": "true", "force_destroy": "true", "secret_recovery_window_days": "0",
        "pseudonym_key": '"an-emulated-pseudonym-key-0123456789"', "pseudonym_key_version": "1",
    },
    "tracer": {
        "make_alerts_topic": "false", "enable_cost_alerts": "false", "emulated": "true",
        "secret_recovery_days": "0", "api_keys": '["an-emulated-key"]', "enable_error_alerts": "true", "enable_dynamodb_alerts": "true",
    },
}

# Changes for a second apply: one attribute of each kind of resource that a deployment changes in place.
CHANGED = {
    "bucket-api": {"memory_size": "256", "log_retention_days": "14", "access_log_retention_days": "60", "reserved_concurrent_executions": "6"},
    "hello": {"memory_size": "512", "log_retention_days": "14"},
    "invoice": {"memory_size": "512", "timeout": "20"},
    "network": {"flow_logs_retention_days": "400"},
    "stream-pipeline": {"memory_size": "1024", "pseudonym_key": '"another-pseudonym-key-0123456789abcdef"', "pseudonym_key_version": "2", "shard_count": "2"},
    "tracer": {"enable_pitr": "true", "cors_allow_origins": '["http://localhost:4000"]', "memory_size": "512"},
}

# moto names an action by the signature's scope and the request's operation.
MOTO_NAMES = {
    "cloudwatch": lambda action: [f"monitoring:{action}"],
    "apigateway": lambda action: ["apigateway:*"],
    "s3": lambda action: ["s3:HeadBucket"] if action == "ListBucket" else [],
}


class Failed(Exception):
    """A command failed."""


def without_conditions(policy):
    """Returns a policy for the emulator: every Allow applies to all resources, without conditions."""
    policy = json.loads(policy)
    for statement in policy["Statement"]:
        names = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        more = [name for full in names for service, _, action in [full.partition(":")] for name in MOTO_NAMES.get(service, lambda _: [])(action)]
        statement["Action"] = sorted({*names, *more})
        if statement["Effect"] == "Allow":
            statement.pop("Condition", None)
            statement["Resource"] = "*"
    # Where `emulated` is set, the modules ask S3 whether it is AWS. No role needs this on AWS (FREE in actions.py).
    policy["Statement"].append({"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"})
    return json.dumps(policy)


def with_values(text, values):
    """Sets variables in the text of a tfvars file with one line for each value."""
    for name, value in values.items():
        line = f"{name} = {value}"
        text, found = re.subn(rf"(?m)^{name}\s*=.*$", lambda _: line, text)
        if not found:
            text += f"{line}\n"
    return text


class Sandbox:
    """A clone of the repository, an emulated account, and the tool."""

    def __init__(self, folder, tool, tools):
        self.project, self.home, self.tool = folder / "project", folder / "home", tool
        self.home.mkdir(parents=True)
        self.moto = None
        self.env = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "GIT_", "TF_", "SLIPWAY_", "CARGO_TARGET"))}
        if "TF_CLI_CONFIG_FILE" in os.environ:
            self.env["TF_CLI_CONFIG_FILE"] = os.environ["TF_CLI_CONFIG_FILE"]
        self.env |= {"SLIPWAY_TOOLS": str(tools), "SLIPWAY_LOCAL_ACCOUNT": ACCOUNT, "CHECKPOINT_DISABLE": "1", "AWS_REGION": REGION}
        self.tools = tools

    def run(self, *arguments, env=None, within=1500, ends=(0,)):
        ended = subprocess.run([str(part) for part in arguments], cwd=self.project, env=self.env | (env or {}), text=True,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=within)
        if ended.returncode not in ends:
            raise Failed(f"{' '.join(map(str, arguments))}: exit {ended.returncode}\n{ended.stdout[-3000:]}{ended.stderr[-6000:]}")
        return ended.stdout

    def xtask(self, *arguments, env=None, ends=(0,)):
        return self.run(self.tool, *arguments, env=env, ends=ends)

    def copy(self, stacks):
        names = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True, stdout=subprocess.PIPE)
        for name in filter(None, names.stdout.decode().split("\0")):
            if (ROOT / name).is_file():
                target = self.project / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, target)
        built = ROOT / "target/slipway/artifacts"
        if built.is_dir():
            shutil.copytree(built, self.project / "target/slipway/artifacts")
        store = f'schema = 1\nname = "slipway"\n\n[store]\naccount = "{ACCOUNT}"\nregion = "{REGION}"\nbucket = "slipway-{ACCOUNT}-artifacts"\n'
        (self.project / "pipelines/project.toml").write_text(store)
        values = self.project / f"terraform/bootstrap/{ACCOUNT}.tfvars"
        # prod beside dev in one account, protected, and the publisher: the roles that must be kept apart. prod's roles of functions
        # are the administrator's.
        text = values.read_text().replace("ci                = {", 'ci                = { prod = { github_environment = "prod", make_roles = false },')
        values.write_text(text + 'publisher = { github_environment = "release" }\nemulated = true\n')
        prod = self.project / "terraform/environments/prod/environment.toml"
        prod.write_text(prod.read_text().replace("444444444444", ACCOUNT))
        # Its calls are judged whether or not dev runs it.
        own = self.project / "terraform/environments/dev/environment.toml"
        # The emulator has no registry: what images need of ECR is in `declared.py`.
        images = '[stacks.bucket-api]\nfunctions = ["bucket-api-zip"]\n'
        own.write_text(own.read_text().replace("[stacks.network]\nenabled = false\n", images))
        for left_out in set(FUNCTIONS) - set(stacks):
            shutil.rmtree(self.project / f"terraform/stacks/{left_out}")
            for settings in self.project.glob("terraform/environments/*/environment.toml"):
                settings.write_text(re.sub(rf"(?m)^\[stacks\.{left_out}\]\n(?:[^\[\n].*\n?)*", "", settings.read_text()))
        dev = self.project / "terraform/environments/dev"
        for stack, changes in EMULATED.items():
            file = dev / f"{stack}.tfvars"
            file.write_text(with_values(file.read_text(), changes))
        for settings in self.project.glob("terraform/stacks/*/stack.toml"):
            # Nobody can type the names of protected resources here.
            settings.write_text(re.sub(r"(?ms)^protect = \[.*?\]\n", "", settings.read_text()))
        self.run("git", "init", "-q", "-b", "main")
        self.commit("feat: begin")

    def commit(self, message):
        for arguments in (["add", "-A"], ["commit", "-q", "-m", message]):
            self.run("git", "-c", "user.name=policies", "-c", "user.email=policies@localhost", *arguments)

    def up(self):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port = listener.getsockname()[1]
        server = glob.glob(f"{self.tools}/moto-*/venv/bin/moto_server")[0]
        self.moto_log = open(self.home / "moto.log", "w")
        self.moto = subprocess.Popen([server, "-H", "127.0.0.1", "-p", str(port)], stdout=self.moto_log, stderr=subprocess.STDOUT,
                                     env=self.env | {"MOTO_IAM_LOAD_MANAGED_POLICIES": "true"})
        self.emulator = f"http://127.0.0.1:{port}"
        for _ in range(600):
            try:
                self.post_to_emulator("/moto-api/config", '{"lambda":{"use_docker":false}}', "application/json")
                break
            except OSError:
                time.sleep(0.1)
        self.env["SLIPWAY_LOCAL_EMULATOR"] = self.emulator
        self.xtask("local", "up")
        state = json.loads((self.project / "target/slipway/local/state.json").read_text())
        self.gateway = state["gateway"]["url"]
        self.administrator = self.assume("admin")
        # The role itself, so that the emulator knows what it may do once it checks.
        iam, everybody = self.client("iam", self.administrator), {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
        iam.create_role(RoleName="admin", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [everybody]}))
        everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
        iam.put_role_policy(RoleName="admin", PolicyName="all", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [everything]}))

    def post_to_emulator(self, path, body, kind):
        request = urllib.request.Request(self.emulator + path, body.encode(), {"Content-Type": kind}, method="POST")
        return urllib.request.urlopen(request, timeout=30).read()

    def client(self, service, credentials=None):
        keys = credentials or {"AWS_ACCESS_KEY_ID": f"AKIA{ACCOUNT}0000", "AWS_SECRET_ACCESS_KEY": "none"}
        # Through the gateway, which signs with the secrets that it issues.
        return boto3.client(service, region_name=REGION, endpoint_url=self.gateway, aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
                            aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"], aws_session_token=keys.get("AWS_SESSION_TOKEN"))

    def assume(self, role):
        arn = f"arn:aws:iam::{ACCOUNT}:role/{role}"
        keys = self.client("sts").assume_role(RoleArn=arn, RoleSessionName="policies", DurationSeconds=3600)["Credentials"]
        return {"AWS_ACCESS_KEY_ID": keys["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"], "AWS_SESSION_TOKEN": keys["SessionToken"], "AWS_ENDPOINT_URL": self.gateway}

    def down(self):
        try:
            self.run(self.tool, "local", "down")
        except Failed as failed:
            print(failed, file=sys.stderr)
        finally:
            if self.moto:
                self.moto.terminate()
                self.moto.wait(30)


def roles_of(exact):
    """Returns permissions, boundaries and trust by role, and the policies of buckets and keys, from the output of bootstrap: what
    AWS would have, where the emulator got less."""
    parsed = {group: {name: json.loads(text) for name, text in policies.items() if text} for group, policies in exact.items()}
    found = {"boundary": parsed["boundaries"][ENVIRONMENT], "boundaries": {}, "trust": {}, "buckets": parsed["buckets"], "bootstrap_keys": parsed["keys"]}
    for name, policy in parsed["permissions"].items():
        environment, _, rest = name.partition("/")
        role, _, group = rest.partition("/")
        found.setdefault(role_name(environment, role), {})[group or "publisher"] = {"policy": policy}
    for name, policy in parsed["trust"].items():
        environment, _, role = name.partition("/")
        found["trust"][role_name(environment, role)] = policy
        boundary = parsed["boundaries"].get(f"{environment}/ci", parsed["permissions"].get("publisher"))
        found["boundaries"][role_name(environment, role)] = boundary
    return found


def role_name(environment, role):
    """Returns the name of a role in the requests: `plan` and `apply` are dev's."""
    return environment if not role else role if environment == ENVIRONMENT else f"{environment}-{role}"


def policies(sandbox):
    """Reads the bootstrap's resources from its state."""
    body = sandbox.client("s3", sandbox.administrator).get_object(Bucket=f"slipway-{ACCOUNT}-bootstrap-tfstate", Key="bootstrap.tfstate")["Body"].read()
    state = json.loads(body)
    exact = state["outputs"]["policies"]["value"]
    found = {"arns": {}, "aliases": {}, "keys": {}, "buckets_keys": {}, "roles": []} | roles_of(exact)
    for resource in state["resources"]:
        for instance in resource["instances"]:
            values = instance["attributes"]
            if resource["type"] == "aws_iam_policy" and resource["name"] in ("this", "read"):
                found["arns"][values["arn"]] = values["policy"]
            elif resource["type"] == "aws_kms_alias":
                found["aliases"][values["name"]] = values["target_key_arn"]
            elif resource["type"] == "aws_kms_key":
                found["keys"][values["arn"]] = {"tags": values["tags_all"], "policy": json.loads(values["policy"])}
            elif resource["type"] == "aws_s3_bucket_server_side_encryption_configuration":
                encryption = values["rule"][0]["apply_server_side_encryption_by_default"][0]
                found["buckets_keys"][values["bucket"]] = encryption["kms_master_key_id"]
            elif resource["type"] == "aws_iam_role":
                found["roles"].append(values["arn"])
    return found


def step(sandbox, listener, name, role, keys, out, *arguments):
    """Runs a command through its listener, with a role."""
    listener.step = f"{name}/{role}"
    began = time.monotonic()
    # tracer reads a secret as itself. The emulator refuses it that: its role names the secret, which is compared with `*`.
    # A stack whose verification fails (5) has been applied, too.
    ends = (0, 5) if listener.stack == "tracer" else (0,)
    sandbox.xtask(*arguments, "--env", ENVIRONMENT, env={**keys[role], "AWS_ENDPOINT_URL": listener.url}, ends=ends)
    print(f"  {listener.stack:16} {name:9} {time.monotonic() - began:6.1f} s", file=out, flush=True)


def apply_and_change(sandbox, stack, listener, keys, out):
    """Creates and changes one stack as the applying role."""
    dev = sandbox.project / f"terraform/environments/dev/{stack}.tfvars"
    for function in FUNCTIONS[stack]:
        step(sandbox, listener, "apply", "apply", keys, out, "deploy", function, "--version", sandbox.versions[function], "--yes")
    if not FUNCTIONS[stack]:
        step(sandbox, listener, "apply", "apply", keys, out, "deploy", "--stack", stack, "--yes")
    dev.write_text(with_values(dev.read_text(), CHANGED[stack]))
    for function in FUNCTIONS[stack]:
        step(sandbox, listener, "change", "apply", keys, out, "deploy", function, "--version", sandbox.versions[function], "--plan", "--yes")
    if not FUNCTIONS[stack]:
        step(sandbox, listener, "change", "apply", keys, out, "deploy", "--stack", stack, "--yes")
    else:
        step(sandbox, listener, "verify", "apply", keys, out, "verify", *FUNCTIONS[stack])


def recover(sandbox, stack, listener, keys, out):
    """Kills a deployment of one stack while it holds the state, and replaces the state with one that no deployment left; recovers from
    both with the apply role."""
    values = sandbox.project / f"terraform/environments/dev/{stack}.tfvars"
    values.write_text(with_values(values.read_text(), {"timeout": "21"}))
    storage = sandbox.client("s3", sandbox.administrator)
    bucket, state = f"{PREFIX}state", f"{stack}.tfstate"
    function = FUNCTIONS[stack][0]
    deploy = ["deploy", function, "--version", sandbox.versions[function], "--plan", "--env", ENVIRONMENT, "--yes"]
    listener.step = "killed/apply"
    killed = subprocess.Popen([sandbox.tool, *deploy], cwd=sandbox.project, env=sandbox.env | keys["apply"] | {"AWS_ENDPOINT_URL": listener.url},
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    while not exists(storage, bucket, f"{state}.tflock"):
        if killed.poll() is not None:
            raise Failed(f"deploy {function} ended with {killed.returncode} before it held the state of {stack}")
        time.sleep(0.02)
    # Terraform has a group of its own, in the same session.
    for process in processes_of(killed.pid):
        os.kill(process, signal.SIGKILL)
    killed.wait()
    step(sandbox, listener, "recover", "apply", keys, out, "recover", "--yes")
    other = json.loads(storage.get_object(Bucket=bucket, Key=state)["Body"].read())
    other["serial"] += 1
    # With the bucket's own encryption, as every state.
    storage.put_object(Bucket=bucket, Key=state, Body=json.dumps(other).encode(), ContentType="application/json")
    step(sandbox, listener, "recover", "apply", keys, out, "recover", "--accept-state", "--yes")
    step(sandbox, listener, "recovered", "apply", keys, out, *deploy[:5], "--yes")


def exists(storage, bucket, key):
    try:
        storage.head_object(Bucket=bucket, Key=key)
    except botocore.exceptions.ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise
        return False
    return True


def processes_of(session):
    """Returns the processes of a session, the youngest first."""
    found = []
    for folder in pathlib.Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and os.getsid(int(folder.name)) == session:
                found.append(int(folder.name))
        except ProcessLookupError:
            pass
    return sorted(found, reverse=True)


def destroy(sandbox, stack, listener, keys, out):
    """Destroys one stack with the apply role."""
    step(sandbox, listener, "destroy", "apply", keys, out, "destroy", "--stack", stack, "--yes")


def for_each_stack(work, sandbox, listeners, keys, out):
    """Runs the same for every stack, two at a time, and returns the failures."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        doing = [pool.submit(work, sandbox, stack, listener, keys, out) for stack, listener in listeners.items()]
        return [str(done.exception()) for done in doing if isinstance(done.exception(), Failed) or (done.exception() and done.result())]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--tool", type=pathlib.Path, required=True)
    parser.add_argument("--stack", action="append", choices=sorted(FUNCTIONS))
    parser.add_argument("--unchecked", action="store_true", help="leave the emulator's IAM checks off")
    options = parser.parse_args()
    tools = pathlib.Path(os.environ.get("SLIPWAY_TOOLS") or ROOT / "target/slipway/tools")
    stacks = options.stack or sorted(FUNCTIONS)
    work = pathlib.Path(tempfile.mkdtemp(prefix="slipway-policies-"))
    sandbox = Sandbox(work, options.tool.resolve(), tools.resolve())
    options.folder.mkdir(parents=True, exist_ok=True)
    out = sys.stderr
    try:
        sandbox.copy(stacks)
        sandbox.up()
        print("bootstrap, as the administrator", file=out, flush=True)
        sandbox.xtask("bootstrap", "--env", ENVIRONMENT, "--write", "--yes", env=sandbox.administrator)
        sandbox.commit("chore: the account")
        found = policies(sandbox)
        (options.folder / "policies.json").write_text(json.dumps(found, indent=1))
        served = [function for stack in stacks for function in FUNCTIONS[stack]]
        sandbox.versions = {function: "0.1.0" for function in served}
        keys = {role: sandbox.assume(f"slipway/ci/{PREFIX}ci-{role}") for role in ("plan", "apply", "read")}
        keys["publisher"] = sandbox.assume(f"slipway/ci/slipway-{ACCOUNT}-publisher")
        iam = sandbox.client("iam", sandbox.administrator)
        for arn, policy in found["arns"].items():
            iam.create_policy_version(PolicyArn=arn, PolicyDocument=without_conditions(policy), SetAsDefault=True)
        if not options.unchecked:
            sandbox.post_to_emulator("/moto-api/reset-auth", "0", "text/plain")
        record = Record(options.folder / "calls.jsonl")
        listeners = {stack: Listener(stack, sandbox.gateway, record) for stack in stacks}
        if served:
            publisher = Listener("publish", sandbox.gateway, record)
            publisher.step = "release/publisher"
            release = sandbox.xtask("release", *served, "--yes", "--output", "json", env={**keys["publisher"], "AWS_ENDPOINT_URL": publisher.url})
            (options.folder / "release.json").write_text(release)
        # A failure does not stop the others, so that all are reported.
        failures = for_each_stack(apply_and_change, sandbox, listeners, keys, out)
        killable = next((stack for stack in ("hello", *stacks) if stack in stacks and FUNCTIONS[stack]), None)
        if killable and not failures:
            recover(sandbox, killable, listeners[killable], keys, out)
        # These commands read all stacks at once.
        whole = Listener("all", sandbox.gateway, record)
        for command in ("plan", "status"):
            if not failures:
                step(sandbox, whole, command, "plan", keys, out, command)
        # Those who read dev without deploying to it: staging, which is promoted from it, and people.
        for command in ("status", "audit", "history"):
            if not failures:
                step(sandbox, whole, command, "read", keys, out, command)
        failures += for_each_stack(destroy, sandbox, listeners, keys, out)
        if failures:
            raise Failed("\n\n".join(failures))
    except Failed as failed:
        print(failed, file=sys.stderr)
        return 1
    finally:
        sandbox.down()
        shutil.rmtree(work, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
