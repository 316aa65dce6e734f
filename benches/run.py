#!/usr/bin/env python3
"""Measures whole commands of a built `xtask` in a clone of this repository, and prints a Markdown table.

In: a built tool, the tools it needs installed (SLIPWAY_TOOLS), and git, cargo and Terraform on PATH. Out: for each command
median, range, aim and verdict, and the machine's cores and load. What is compared with something is measured in
alternating pairs in one run, so that a load that comes and goes meets both sides.

    benches/run.py                          # everything warm; the first run builds the function twice
    benches/run.py --folder /tmp/b --keep   # the same, in a folder that the next run goes on with
    benches/run.py --cold                   # builds of the tool itself, from nothing and after one touched file

Exit: 0 measured (whatever the verdicts), 1 a command failed; the end of its output is printed.
"""

import datetime
import json
import re
import shutil
import statistics
import sys
import tempfile

import project_bench
from project_bench import ROOT, Failed, ProjectBench

ENVIRONMENT, STACK, FUNCTION = "local", "hello", "hello"
EXTRA_FILES = 10_000
# The bench measures Slipway, not how long a function's own tests take; and a release remembers passed checks anyway.
CHECKS_LEFT_OUT = re.compile(r"\[checks\.(?:format|clippy|test)\]\n(?:[^\n]+\n)+\n?")


class Bench(ProjectBench):
    """A clone of the repository."""

    def __init__(self, folder, options):
        super().__init__(folder, options, "clone")
        self.spent = []

    def xtask(self, *arguments, cwd=None):
        return self.run(self.tool, *arguments, cwd=cwd)

    def events(self):
        """Reads the record of the newest run."""
        runs = sorted((self.project / "target/slipway/runs").iterdir())
        return [json.loads(line) for line in (runs[-1] / "events.jsonl").read_text().splitlines()]

    def row(self, name, seconds, aim=None, note=""):
        """Adds a line to the table; `aim` is in the unit of `seconds`."""
        self.rows.append((name, seconds, aim, "s", note))
        print(f"  {name}: {statistics.median(seconds):.3f} s", file=sys.stderr)

    def ratio(self, name, ours, theirs, aim, note=""):
        ratios = [one / other for one, other in zip(ours, theirs)]
        self.rows.append((name, ratios, aim, "", note))
        print(f"  {name}: {statistics.median(ratios):.2f}", file=sys.stderr)

    def prepare(self):
        """Clones and releases two versions whose bytes differ; continues an earlier run."""
        if self.options.cold:
            return
        self.copy_tool()
        if not self.project.exists():
            self.run("git", "clone", "-q", ROOT, self.project, cwd=self.folder)
            settings = self.project / "pipelines/project.toml"
            settings.write_text(CHECKS_LEFT_OUT.sub("", settings.read_text()))
            self.commit("chore: leave the quick checks")
        released = self.folder / "released"
        versions = released.read_text().split() if released.exists() else []
        while len(versions) < 2:
            if versions:
                self.change_function()
            print("preparing: release, with a build of the function", file=sys.stderr)
            self.xtask("release", FUNCTION, "--env", ENVIRONMENT, "--yes")
            versions.append(self.serving())
            released.write_text(" ".join(versions))
        self.xtask("release", FUNCTION, "--env", ENVIRONMENT, "--yes", "--lift-hold")
        if self.serving() != versions[1]:
            raise Failed(f"{versions[1]} should serve, not {self.serving()}")
        self.older, self.newer = versions

    def change_function(self):
        for path in (self.project / "lambda-src" / FUNCTION / "src").rglob("*.rs"):
            text = path.read_text()
            # The call that logs it, not the tests that name it: tests do not change the bytes.
            if '"greeted");' in text:
                path.write_text(text.replace('"greeted");', '"greeted again");'))
                self.commit("feat: greet again")
                return
        raise Failed("no log line `greeted` to change in the function")

    def serving(self):
        """Reads the releases that Terraform was last given from the newest var-file."""
        values = json.loads((self.work / "slipway.tfvars.json").read_text())
        return values["releases"][FUNCTION]["version"]

    @property
    def work(self):
        return self.project / "target/slipway/terraform" / ENVIRONMENT / STACK

    def measure(self):
        if self.options.cold:
            self.cold()
            return
        self.help()
        self.nothing_to_do()
        self.many_files()
        self.rollback_and_by_hand()

    def help(self):
        self.row("`xtask --help`", [self.xtask("--help") for _ in range(20)], 0.030)

    def nothing_to_do(self):
        command = ("release", FUNCTION, "--env", ENVIRONMENT, "--yes")
        self.xtask(*command)
        times = [self.xtask(*command) for _ in range(self.options.pairs * 3)]
        self.row("`release`, nothing changed", times, 0.5)

    def rollback_and_by_hand(self):
        """Alternates: back with Slipway, forward with Terraform alone; then a deploy corrects the ledger."""
        var_file = self.folder / "by-hand.tfvars.json"
        shutil.copy2(self.work / "slipway.tfvars.json", var_file)
        until_alias, until_agreed, by_hand, self.by_hand = [], [], [], []
        for _ in range(self.options.pairs):
            took = self.xtask("rollback", FUNCTION, "--env", ENVIRONMENT, "--yes")
            until_agreed.append(took)
            began = self.began
            moved = next(e for e in self.events() if e["event"] == "finished" and e.get("label") == "rollout")
            moment = datetime.datetime.fromisoformat(re.sub(r"(\.\d{6})\d*Z$", r"\1+00:00", moved["at"]))
            until_alias.append(moment.timestamp() - began)
            steps = self.steps()
            by_hand.append(self.terraform_by_hand(var_file))
            self.xtask("deploy", FUNCTION, "--env", ENVIRONMENT, "--version", self.newer, "--lift-hold", "--yes")
        # The last rollback and hand-run stand for all.
        named = [("by hand", verb, took * 1000) for verb, took in zip(("init", "plan", "apply"), self.by_hand[-1])]
        self.spent = steps + named
        self.row("`rollback`, until the alias has moved", until_alias, 1.0)
        self.row("`rollback`, until Terraform agrees", until_agreed)
        self.row("`terraform init`, `plan`, `apply` by hand", by_hand, note="the same change, the other way")
        self.ratio("rollback : by hand", until_agreed, by_hand, 0.8)

    def terraform_by_hand(self, var_file):
        state = json.loads((self.project / "target/slipway/local/state.json").read_text())
        with tempfile.TemporaryDirectory(dir=self.folder) as data:
            env = {
                "AWS_ACCESS_KEY_ID": state["access_key_id"], "AWS_SECRET_ACCESS_KEY": state["secret_access_key"],
                "AWS_SESSION_TOKEN": state["session_token"], "AWS_REGION": state["region"],
                "AWS_ENDPOINT_URL": state["gateway"]["url"], "AWS_EC2_METADATA_DISABLED": "true",
                "TF_DATA_DIR": data, "TF_IN_AUTOMATION": "1",
            }
            folder = self.project / "terraform/stacks" / STACK
            own = self.project / "terraform/environments" / ENVIRONMENT / f"{STACK}.tfvars"
            commands = (
                ("init", "-input=false", "-reconfigure", f"-backend-config={self.work / 'backend.hcl'}"),
                ("plan", "-input=false", f"-var-file={own}", f"-var-file={var_file}", f"-out={data}/plan"),
                ("apply", "-input=false", f"{data}/plan"),
            )
            took = [self.run("terraform", command[0], "-no-color", *command[1:], cwd=folder, env=env) for command in commands]
            if "0 added, 1 changed, 0 destroyed" not in self.said:
                raise Failed(f"by hand, another change was applied:\n{self.said[-3000:]}")
            self.by_hand.append(took)
            return sum(took)

    def steps(self):
        """Returns how the newest run's time was spent, by step."""
        done = [e for e in self.events() if e["event"] == "finished"]
        return [(e["label"], e["title"], e["took_ms"]) for e in done]

    def many_files(self):
        """The same function and cached artifact in a repository with many more files."""
        large = self.folder / "large"
        shutil.rmtree(large, ignore_errors=True)
        self.run("git", "clone", "-q", self.project, large, cwd=self.folder)
        shutil.copytree(self.project / "target/slipway/artifacts", large / "target/slipway/artifacts")
        for number in range(EXTRA_FILES):
            path = large / f"extra/{number // 100:03}/{number:05}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{number}\n")
        self.commit("docs: very much", cwd=large)
        without, with_them = [], []
        for _ in range(self.options.pairs * 2 + 1):
            without.append(self.xtask("build", FUNCTION))
            with_them.append(self.xtask("build", FUNCTION, cwd=large))
        # The first run of each fills caches.
        self.row("`build`, artifact kept", without[1:])
        self.row(f"`build`, artifact kept, {EXTRA_FILES} files more", with_them[1:])
        cost = [one - other for one, other in zip(with_them[1:], without[1:])]
        self.row(f"what {EXTRA_FILES} files cost, pair by pair", cost)

    def cold(self):
        """Builds of the tool: from nothing, and after a touched file; crates are downloaded before."""
        source = self.folder / "source"
        shutil.rmtree(source, ignore_errors=True)
        self.run("git", "clone", "-q", ROOT, source, cwd=self.folder)
        builder = source / "xtask/rust-builder/Cargo.toml"
        for manifest in (source / "Cargo.toml", builder):
            self.run("cargo", "fetch", "--locked", "--manifest-path", manifest, cwd=source)
        with tempfile.TemporaryDirectory(dir=self.folder) as target:
            env = {"CARGO_TARGET_DIR": target}
            build = ("cargo", "build", "--locked", "--package", "xtask")
            self.row("cold build of the tool", [self.run(*build, cwd=source, env=env)], 240)
            stage, touched = source / "xtask/src/rollout.rs", []
            for _ in range(3):
                stage.write_text(stage.read_text() + "\n// touched\n")
                touched.append(self.run(*build, cwd=source, env=env))
            self.row("rebuild after one touched stage file", touched, 15)
        with tempfile.TemporaryDirectory(dir=self.folder) as target:
            build = ("cargo", "build", "--locked", "--manifest-path", builder)
            self.row("cold build of rust-builder", [self.run(*build, cwd=source, env={"CARGO_TARGET_DIR": target})])

    def table(self):
        lines = ["| Command | Median | Range | n | Goal | Verdict |", "|---|---|---|---|---|---|"]
        for name, values, aim, unit, note in self.rows:
            median = statistics.median(values)
            shown = [text(value, unit) for value in (median, min(values), max(values))]
            verdict = "" if aim is None else ("met" if median <= aim else "missed")
            name = f"{name} ({note})" if note else name
            wanted = "" if aim is None else text(aim, unit)
            lines.append(f"| {name} | {shown[0]} | {shown[1]} – {shown[2]} | {len(values)} | {wanted} | {verdict} |")
        if self.spent:
            lines += ["", "Where the time of a rollback and of the hand-run goes:", "", "| Step | What | Took |", "|---|---|---|"]
            lines += [f"| {label} | {title} | {text(ms / 1000, 's')} |" for label, title, ms in self.spent]
        return "\n".join(lines)


def text(value, unit):
    if unit and abs(value) < 0.1:
        return f"{value * 1000:.0f} ms"
    return f"{value:.2f} {unit}".strip()


def main():
    parser = project_bench.options(__doc__)
    parser.add_argument("--pairs", type=int, default=5, help="rollbacks and hand-runs (default 5)")
    parser.add_argument("--cold", action="store_true", help="measure builds of the tool instead")
    return project_bench.main(Bench, parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
