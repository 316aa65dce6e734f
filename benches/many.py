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

import collections
import datetime
import json
import re
import statistics
import sys
import time

import project_bench
from project_bench import ROOT, ProjectBench

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


class Bench(ProjectBench):
    """A generated project of many functions."""

    def __init__(self, folder, options):
        super().__init__(folder, options, "project")
        self.subject = f"{options.functions} functions; "

    def name(self, number):
        return f"f{number:04}"

    def write(self, path, text):
        path = self.project / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def prepare(self):
        self.copy_tool()
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

    def measure(self):
        goal = {100: 1.0, 1000: 5.0}.get(self.options.functions)
        if not self.options.unchanged:
            self.release("from nothing")
        self.release("nothing changed", self.options.times, goal)
        if not self.options.unchanged:
            self.change_one()
            self.release("one function changed")
            self.release("nothing changed, after that", self.options.times, goal)

    def release(self, name, times=1, goal=None):
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


def main():
    parser = project_bench.options(__doc__)
    parser.add_argument("--functions", type=int, default=100, help="how many functions (default 100)")
    parser.add_argument("--times", type=int, default=5, help="releases with nothing changed (default 5)")
    parser.add_argument("--unchanged", action="store_true", help="measure only releases with nothing changed")
    return project_bench.main(Bench, parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
