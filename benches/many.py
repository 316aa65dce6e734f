#!/usr/bin/env python3
"""Measures releases of many small Python functions in one stack, and counts their calls.

In: a built tool, the tools it needs installed (SLIPWAY_TOOLS), and git and Terraform on PATH. Out: for each kind of release
the seconds, the calls of each operation, and the round trips one after the other: calls that overlap count once.

    benches/many.py                                # 100 functions
    benches/many.py --functions 20                 # fewer
    benches/many.py --folder /tmp/m --keep         # the same, in a folder that the next run goes on with

The stack makes nothing but functions and aliases, with one role for all of them: what is measured is Slipway, not the
provider. Exit: 0 measured (whatever the verdicts), 1 a command failed; the end of its output is printed.
"""

import argparse
import collections
import datetime
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
COMMAND = ("release", "--env", "local", "--yes")
SETTINGS = """runtime = "python3.11"
handler = "app.handle"
architecture = "x86_64"
package = "zip"
first_version = "0.1.0"

[build]
with = "python"
sources = ["src/app.py"]
"""
CODE = "def handle(event, context):\n    return {number}\n"
STACK = ROOT / "benches/many.tf"


class Failed(Exception):
    """A command failed."""


class Bench:
    """A generated project, the tool, and the measurements."""

    def __init__(self, folder, options):
        self.folder, self.options, self.rows = folder, options, []
        self.project, self.tool = folder / "project", folder / "xtask"
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "GIT_")) and k != "CARGO_TARGET_DIR"}
        self.env["SLIPWAY_TOOLS"] = str(options.tools)
        self.env["CHECKPOINT_DISABLE"] = "1"

    def run(self, *command):
        """Runs a command, which must succeed; returns the seconds it took."""
        clock = time.perf_counter()
        ended = subprocess.run(
            [str(part) for part in command], cwd=self.project, env=self.env, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        took = time.perf_counter() - clock
        if ended.returncode:
            raise Failed(f"{' '.join(map(str, command))}: exit {ended.returncode}\n{ended.stdout[-3000:]}")
        self.said = ended.stdout
        return took

    def name(self, number):
        return f"f{number:04}"

    def write(self, path, text):
        path = self.project / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def prepare(self):
        self.tool.unlink(missing_ok=True)  # the gateway of an earlier run may run it
        shutil.copy2(self.options.tool, self.tool)  # a build elsewhere must not change it meanwhile
        if self.project.exists():
            return
        names = [self.name(number) for number in range(self.options.functions)]
        self.write("pipelines/project.toml", 'schema = 1\nname = "many"\n')
        self.write(".gitignore", "/target/\n**/.terraform/\n")
        self.write("terraform/environments/local/environment.toml", "emulated = true\n")
        self.write("terraform/stacks/many/main.tf", STACK.read_text())
        self.write("terraform/stacks/many/stack.toml", f"functions = {json.dumps(names)}\n")
        for number, name in enumerate(names):
            self.write(f"lambda-src/{name}/function.toml", SETTINGS)
            self.write(f"lambda-src/{name}/src/app.py", CODE.format(number=number))
        self.run("git", "init", "-q")
        self.commit("feat: many functions")

    def commit(self, message):
        self.run("git", "add", "-A")
        self.run("git", "-c", "user.name=bench", "-c", "user.email=bench@localhost", "commit", "-qm", message)

    def measure(self, name, times=1, goal=None):
        self.run(self.tool, "local", "up")
        took = [self.run(self.tool, *COMMAND) for _ in range(times)]
        calls = self.calls()
        self.rows.append((name, took, len(calls), chain(calls), goal))
        print(f"  {name}: {statistics.median(took):.2f} s, {len(calls)} calls, {chain(calls)} one after the other",
              file=sys.stderr)
        counts = collections.Counter(operation for operation, _, _ in calls)
        print("    " + ", ".join(f"{count} {operation}" for operation, count in counts.most_common()), file=sys.stderr)
        print("    " + "\n    ".join(line[:200] for line in self.said.splitlines()[-3:]), file=sys.stderr)

    def calls(self):
        """Returns the calls of the newest run: operation, beginning and end in seconds."""
        runs = sorted((self.project / "target/slipway/runs").iterdir())
        events = [json.loads(line) for line in (runs[-1] / "events.jsonl").read_text().splitlines()]
        calls = []
        for event in events:
            if event["event"] == "call":
                end = datetime.datetime.fromisoformat(re.sub(r"(\.\d{6})\d*Z$", r"\1+00:00", event["at"])).timestamp()
                calls.append((f"{event['service']} {event['operation']}", end - event["took_ms"] / 1000, end))
        return calls

    def change_one(self):
        path = self.project / f"lambda-src/{self.name(0)}/src/app.py"
        path.write_text(path.read_text() + f"\n# {time.time_ns()}\n")
        self.commit("fix: one function")

    def table(self):
        lines = ["| Release | Median | Range | n | Calls | One after the other | Goal | Verdict |", "|---|---|---|---|---|---|---|---|"]
        for name, took, calls, longest, goal in self.rows:
            median = statistics.median(took)
            verdict = "" if goal is None else "met" if median <= goal else "missed"
            lines.append(f"| {name} | {median:.2f} s | {min(took):.2f} s – {max(took):.2f} s | {len(took)} | {calls} "
                         f"| {longest} | {'' if goal is None else f'{goal} s'} | {verdict} |")
        return "\n".join(lines)


def chain(calls):
    """Returns how many rounds of calls followed each other.

    Calls of one operation that overlap are one round, also where a limit (32 at once) holds some of them back. Of the rounds,
    the greatest number that do not overlap is taken.
    """
    rounds = []
    for operation in {operation for operation, _, _ in calls}:
        own = sorted((begin, end) for name, begin, end in calls if name == operation)
        begin, end = own[0]
        for next_begin, next_end in own[1:]:
            if next_begin >= end:
                rounds.append((begin, end))
                begin = next_begin
            end = max(end, next_end)
        rounds.append((begin, end))
    count, last = 0, 0.0
    for begin, end in sorted(rounds, key=lambda one: one[1]):
        if begin >= last:
            count, last = count + 1, end
    return count


def load():
    return " ".join(f"{value:.1f}" for value in os.getloadavg())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tool", type=pathlib.Path, default=ROOT / "target/debug/xtask", help="the built xtask")
    tools = os.environ.get("SLIPWAY_TOOLS", ROOT / "target/slipway/tools")
    parser.add_argument("--tools", type=pathlib.Path, default=tools, help="the folder of installed tools")
    parser.add_argument("--functions", type=int, default=100, help="how many functions (default 100)")
    parser.add_argument("--folder", type=pathlib.Path, help="work here; a project in it is used again")
    parser.add_argument("--keep", action="store_true", help="leave the folder, and the local environment up")
    parser.add_argument("--times", type=int, default=5, help="releases with nothing changed (default 5)")
    parser.add_argument("--unchanged", action="store_true", help="measure only releases with nothing changed")
    options = parser.parse_args()
    folder = (options.folder or pathlib.Path(tempfile.mkdtemp(prefix="slipway-bench-"))).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    bench, before = Bench(folder, options), load()
    try:
        bench.prepare()
        goal = {100: 1.0, 1000: 5.0}.get(options.functions)
        if not options.unchanged:
            bench.measure("from nothing")
        bench.measure("nothing changed", options.times, goal)
        if not options.unchanged:
            bench.change_one()
            bench.measure("one function changed")
            bench.measure("nothing changed, after that", options.times, goal)
    except Failed as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    finally:
        print(f"\n{options.functions} functions; {os.cpu_count()} cores; load average {before} before, {load()} after\n")
        print(bench.table())
        if not options.keep:
            if bench.project.exists():
                subprocess.run([bench.tool, "local", "down"], cwd=bench.project, env=bench.env, check=False,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
