"""What the benches share that release a project into the local environment: options, commands, the machine's load, clean-up.

A bench derives from `ProjectBench`, parses its options with `options` and runs with `main`. It is no bench itself.
"""

import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
AUTHOR = ("-c", "user.name=bench", "-c", "user.email=bench@localhost")


class Failed(Exception):
    """A command failed."""


class ProjectBench:
    """A project in a folder of its own, the tool, and the measurements."""

    # Printed before the machine's cores.
    subject = ""

    def __init__(self, folder, options, project):
        self.folder, self.options, self.rows, self.said, self.began = folder, options, [], "", 0.0
        self.project, self.tool = folder / project, folder / "xtask"
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "GIT_")) and k != "CARGO_TARGET_DIR"}
        self.env |= {"SLIPWAY_TOOLS": str(options.tools), "CHECKPOINT_DISABLE": "1"}

    def prepare(self):
        """Makes the project, or continues an earlier run."""
        raise NotImplementedError

    def measure(self):
        raise NotImplementedError

    def table(self):
        """Returns the measurements as a Markdown table."""
        raise NotImplementedError

    def copy_tool(self):
        """Copies the tool: a build elsewhere must not change it meanwhile."""
        self.tool.unlink(missing_ok=True)  # the gateway of an earlier run may run it
        shutil.copy2(self.options.tool, self.tool)

    def run(self, *command, cwd=None, env=None, stderr=subprocess.STDOUT):
        """Runs a command, which must succeed; returns the seconds it took.

        Its output is in `said`, the time when it began in `began`.
        """
        self.began, clock = time.time(), time.perf_counter()
        ended = subprocess.run(
            [str(part) for part in command], cwd=cwd or self.project, env=self.env | (env or {}), text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr)
        took = time.perf_counter() - clock
        if ended.returncode:
            said = ended.stdout[-3000:] + (ended.stderr or "")[-3000:]
            raise Failed(f"{' '.join(map(str, command))}: exit {ended.returncode}\n{said}")
        self.said = ended.stdout
        return took

    def commit(self, message, cwd=None):
        """Commits everything."""
        self.run("git", "add", "-A", cwd=cwd)
        self.run("git", *AUTHOR, "commit", "-qm", message, cwd=cwd)

    def clean_up(self):
        """Stops the local environment and removes the folder."""
        if self.project.exists() and self.tool.exists():
            subprocess.run([self.tool, "local", "down"], cwd=self.project, env=self.env, check=False,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        shutil.rmtree(self.folder, ignore_errors=True)


def load():
    """Returns the load averages of 1, 5 and 15 minutes."""
    return " ".join(f"{value:.1f}" for value in os.getloadavg())


def options(description):
    """Returns a parser of the options that every such bench has."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--tool", type=pathlib.Path, default=ROOT / "target/debug/xtask", help="the built xtask")
    tools = os.environ.get("SLIPWAY_TOOLS", ROOT / "target/slipway/tools")
    parser.add_argument("--tools", type=pathlib.Path, default=tools, help="the folder of installed tools")
    parser.add_argument("--folder", type=pathlib.Path, help="work here; a prepared project in it is used again")
    parser.add_argument("--keep", action="store_true", help="leave the folder, and the local environment up")
    return parser


def main(kind, options):
    """Runs a bench and prints its table, also of what was measured before a failure; returns the exit code."""
    folder = (options.folder or pathlib.Path(tempfile.mkdtemp(prefix="slipway-bench-"))).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    bench, before = kind(folder, options), load()
    try:
        bench.prepare()
        before = load()
        bench.measure()
    except Failed as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    finally:
        print(f"\n{bench.subject}{os.cpu_count()} cores; load average {before} before, {load()} after (1, 5, 15 minutes)\n")
        print(bench.table())
        if not options.keep:
            bench.clean_up()
    return 0
