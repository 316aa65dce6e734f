#!/usr/bin/env python3
"""Measures the whole local environment, all of this repository's stacks: from nothing, with nothing changed, and against
plain `terraform` run by hand stack after stack; then the tracer through the local runtime.

In: a built tool, the tools it needs installed (SLIPWAY_TOOLS), Terraform, git. Out: a Markdown table, with the machine's
load. By hand means `init`, `plan -out` and `apply` of each stack in order, with the var-files and backend files that
Slipway wrote and a fresh TF_DATA_DIR: nothing is built, published, verified or recorded on that side. Each pair begins
with nothing applied; what was built is kept.

    benches/systems.py                         # about half an hour the first time: every function is built
    benches/systems.py --folder /tmp/b --keep  # the same, in a folder that the next run goes on with

Exit: 0 measured (whatever the verdicts), 1 a command failed; the end of its output is printed.
"""

import concurrent.futures
import http.client
import json
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse

import project_bench
from project_bench import AUTHOR, ROOT, Failed, ProjectBench

KEY = "local-development-key"


class Bench(ProjectBench):
    """A clone of the repository."""

    def __init__(self, folder, options):
        super().__init__(folder, options, "clone")

    def release(self, *more):
        return self.run(self.tool, "release", "--env", "local", "--yes", *more)

    def prepare(self):
        self.copy_tool()
        gateway = self.options.tool.parent / "slipway-gateway"
        if gateway.exists():
            shutil.copy2(gateway, self.folder / "slipway-gateway")
        if not self.project.exists():
            self.run("git", "clone", "-q", ROOT, self.project, cwd=self.folder)
            # What is measured is the environment, not how long the functions' own checks take.
            (self.project / "pipelines/project.toml").write_text('schema = 1\nname = "slipway"\n')
            self.run("git", *AUTHOR, "commit", "-qam", "chore: no checks")
        artifacts = ROOT / "target/slipway/artifacts"
        if artifacts.is_dir() and not (self.project / "target/slipway/artifacts").exists():
            shutil.copytree(artifacts, self.project / "target/slipway/artifacts")
        print("preparing: every function is built once", file=sys.stderr)
        self.release()
        stacks = self.project / "target/slipway/terraform/local"
        self.stacks = sorted(folder.name for folder in stacks.iterdir() if (folder / "backend.hcl").exists())

    def aws(self):
        """The variables with which Terraform reaches the emulated AWS, as Slipway passes them to test suites."""
        state = json.loads((self.project / "target/slipway/local/state.json").read_text())
        return {"AWS_ACCESS_KEY_ID": state["access_key_id"], "AWS_SECRET_ACCESS_KEY": state["secret_access_key"],
                "AWS_REGION": state["region"], "AWS_ENDPOINT_URL": state["gateway"]["url"], "AWS_CA_BUNDLE": ""} | (
                    {"AWS_SESSION_TOKEN": state["session_token"]} if state.get("session_token") else {})

    def destroy(self):
        self.run(self.tool, "destroy", "--env", "local", "--yes")

    def by_hand(self, apply):
        began = time.perf_counter()
        for stack in self.stacks:
            work = self.project / "target/slipway/terraform/local" / stack
            data = pathlib.Path(tempfile.mkdtemp(dir=self.folder))
            env = self.aws() | {"TF_DATA_DIR": str(data), "TF_IN_AUTOMATION": "1"}
            chdir = f"-chdir={self.project / 'terraform/stacks' / stack}"
            values = self.project / f"terraform/environments/local/{stack}.tfvars"
            files = [f"-var-file={path}" for path in (values, work / "slipway.tfvars.json") if path.exists()]
            self.run("terraform", chdir, "init", "-input=false", "-reconfigure", f"-backend-config={work / 'backend.hcl'}", env=env)
            self.run("terraform", chdir, "plan", "-input=false", *files, f"-out={data / 'plan'}", env=env)
            if apply:
                self.run("terraform", chdir, "apply", "-input=false", str(data / "plan"), env=env)
            shutil.rmtree(data)
        return time.perf_counter() - began

    def measure(self):
        self.whole()
        self.tracer()

    def whole(self):
        ours, theirs, nothing, nothing_by_hand, planned = [], [], [], [], []
        for pair in range(self.options.pairs):
            for side in ("ours", "theirs") if pair % 2 == 0 else ("theirs", "ours"):
                self.destroy()
                if side == "ours":
                    # `init` is skipped where its inputs did not change, as on any machine that has released before.
                    ours.append(self.release())
                    nothing.append(self.release())
                    planned.append(self.release("--plan"))
                else:
                    theirs.append(self.by_hand(apply=True))
                    nothing_by_hand.append(self.by_hand(apply=False))
            print(f"  pair {pair + 1}: {ours[-1]:.1f} s against {theirs[-1]:.1f} s", file=sys.stderr)
        self.rows += [
            ("`release`, all stacks, nothing applied", ours, None, "s"),
            ("`terraform` by hand, stack after stack", theirs, None, "s"),
            ("release : by hand", [a / b for a, b in zip(ours, theirs)], 0.7, ""),
            ("`release`, nothing changed", nothing, None, "s"),
            ("`release --plan`, nothing changed", planned, None, "s"),
            ("`init` and `plan` by hand, nothing changed", nothing_by_hand, None, "s"),
        ]

    def tracer(self):
        # The last run may have been by hand, which the ledger does not know.
        self.destroy()
        self.release()
        self.run(self.tool, "output", "--env", "local", "--stack", "tracer", "api_url", stderr=subprocess.PIPE)
        url = self.said.strip().split("//")[1].split(".")[0]
        gateway = urllib.parse.urlparse(self.aws()["AWS_ENDPOINT_URL"])
        base = f"/_slipway/lambda-url/{url}"

        def one(connection, method, path, body=None):
            began = time.perf_counter()
            connection.request(method, base + path, body and json.dumps(body), {"x-api-key": KEY, "content-type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            if answer.status >= 400:
                raise Failed(f"{method} {path}: {answer.status}")
            return time.perf_counter() - began

        def client(number, requests, work):
            connection = http.client.HTTPConnection(gateway.hostname, gateway.port)
            return [work(connection, f"{number}-{n}") for n in range(requests)]

        def many(name, clients, requests, work):
            client(99, 5, work)
            began = time.perf_counter()
            with concurrent.futures.ThreadPoolExecutor(clients) as pool:
                times = sorted(t for done in pool.map(lambda n: client(n, requests, work), range(clients)) for t in done)
            rate = clients * requests / (time.perf_counter() - began)
            p99 = times[int(len(times) * 0.99) - 1]
            self.rows.append((f"tracer, {name}, {clients} at once: requests a second", [rate], None, ""))
            self.rows.append((f"tracer, {name}, {clients} at once: 99th percentile", [p99], None, "s"))

        stamp = time.time_ns()
        health = lambda connection, n: one(connection, "GET", "/api/health")
        create = lambda connection, n: one(connection, "POST", "/api/traces", {"project_id": "bench", "name": "n", "trace_id": f"b-{stamp}-{n}"})
        for clients in (1, 8):
            many("health", clients, 400 // clients, health)
            many("create a trace", clients, 200 // clients, create)
        logs = (self.project / "target/slipway/local").rglob("*tracer*.log")
        text = "".join(path.read_text(errors="replace") for path in logs)
        starts = [float(part.split(" ms")[0]) / 1000 for part in text.split("Init Duration: ")[1:]]
        if starts:
            self.rows.append(("tracer, cold start (init)", starts, None, "s"))
        binary = self.project / "target/slipway/artifacts/tracer"
        sizes = [path.stat().st_size / 1e6 for path in binary.rglob("bootstrap")] or [path.stat().st_size / 1e6 for path in binary.rglob("*.zip")]
        if sizes:
            self.rows.append(("tracer, what is uploaded, MB", [sizes[-1]], None, ""))

    def table(self):
        lines = ["| What | Median | Range | n | Goal | Verdict |", "|---|---|---|---|---|---|"]
        for name, values, aim, unit in self.rows:
            median = statistics.median(values)
            show = lambda value: f"{value * 1000:.1f} ms" if unit and value < 0.1 else f"{value:.2f} {unit}".strip()
            verdict = "" if aim is None else ("met" if median <= aim else "missed")
            lines.append(f"| {name} | {show(median)} | {show(min(values))} – {show(max(values))} | {len(values)} | {aim or ''} | {verdict} |")
        return "\n".join(lines)


def main():
    parser = project_bench.options(__doc__)
    parser.add_argument("--pairs", type=int, default=3, help="times that everything is brought up each way (default 3)")
    return project_bench.main(Bench, parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
