"""What GitHub knows of the repository in these tests: environments with their rules, variables, approvals, runs.

Each is a file below `$ROAD/github`, so that the stand-in of GitHub's command line (`bin/gh`), which the page's commands call, and the
server (`issuer.py`), which decides by them, see the same. Nothing is there before somebody typed it.
"""

import json
import os
import pathlib
import time

FOLDER = pathlib.Path(os.environ["ROAD"]) / "github"
# The number of the repository, which a token's claims and the API tell.
REPOSITORY_ID = 4711


def read(kind, name, default=None):
    file = FOLDER / kind / f"{name}.json"
    return json.loads(file.read_text()) if file.exists() else default


def write(kind, name, document):
    file = FOLDER / kind / f"{name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f"{file.name}.{os.getpid()}.{time.monotonic_ns()}")
    new.write_text(json.dumps(document, indent=1))
    new.rename(file)


def environment(name):
    """Returns the rules of an environment; nothing where nobody made it."""
    return read("environments", name)


def allows(name, ref):
    """Tells whether jobs of a ref may use an environment. GitHub makes one that nobody made, without rules: then all may."""
    rules = environment(name)
    if rules is None or rules.get("deployment_branch_policy") is None:
        return True
    return any(ref == f"refs/heads/{branch}" for branch in rules.get("branches", []))


def reviewers(name):
    return (environment(name) or {}).get("reviewers") or []


def variable(name, environment):
    """Returns a variable as a job of an environment sees it: the environment's own, else the repository's."""
    own = read("variables", environment, {}) if environment else {}
    return own.get(name, read("variables", "_repository", {}).get(name, ""))


def next_run():
    folder = FOLDER / "runs"
    return len(list(folder.glob("*.json"))) + 1 if folder.exists() else 1


def request(**what):
    """Notes something that makes GitHub start or go on with a run; the test does what GitHub would."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "requests.jsonl").open("a") as file:
        file.write(json.dumps(what) + "\n")
