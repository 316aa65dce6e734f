"""Records, maps and evaluates all calls: `cargo xtask test policies`.

In: this repository, Slipway's tools, Terraform, node with what package-lock.json pins. Out: the table of evaluate.mjs, and
in target/slipway/policies what it was made of. `--judge` judges the last recording again, with the policies of that time.
Exit: 0 every request has its expected result, 1 otherwise or a command failed.
"""

import argparse
import json
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FOLDER = ROOT / "target/slipway/policies"


def tool():
    """Builds the tool and returns the path of its executable."""
    command = ["cargo", "build", "--locked", "--quiet", "--package", "xtask", "--bins", "--message-format", "json"]
    ended = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    messages = [json.loads(line) for line in ended.stdout.splitlines()]
    return next(message["executable"] for message in messages if message.get("executable") and message["target"]["name"] == "xtask")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--judge", action="store_true", help="judge the last recording again")
    if not parser.parse_args().judge:
        recorded = subprocess.run([sys.executable, "-B", HERE / "record.py", FOLDER, "--tool", tool()])
        if recorded.returncode:
            return 1
    mapped = subprocess.run([sys.executable, "-B", HERE / "actions.py", FOLDER])
    judged = subprocess.run(["node", HERE / "evaluate.mjs", FOLDER])
    buckets = subprocess.run(["node", HERE / "buckets.mjs"])
    return 1 if mapped.returncode or judged.returncode or buckets.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
