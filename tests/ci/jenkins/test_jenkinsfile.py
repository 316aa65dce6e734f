"""Runs every stage of the Jenkinsfile, with every answer of the approval.

driver.groovy takes the place of Jenkins and really runs each `sh`; the file `cargo` beside it takes the place of cargo and records
how it was called. `python3 -m unittest discover --start-directory tests/ci/jenkins` needs `groovy` and Java 17.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).parent
JENKINSFILE = HERE.parents[2] / "Jenkinsfile"
DIGEST = "sha256:" + "a" * 64
PLAN = "7f3a-91c2-0b44"
GROUPS = {f"slipway-{name}-approvers": ["ada", "grace"] for name in ("staging", "prod")}
YES = [{"by": "ada", "says": "yes"}]


def java_home():
    """Debian's groovy finds no Java newer than it by itself."""
    return os.environ.get("JAVA_HOME") or str(Path(shutil.which("java")).resolve().parents[1])


class Build:
    """One build: its events, and the calls of the stand-in for cargo."""

    def __init__(self, folder):
        self.events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
        calls = folder / "calls"
        lines = calls.read_text().splitlines() if calls.exists() else []
        self.calls = [line.split("\t") for line in lines]
        kept = folder / "archive"
        self.archive = {str(file.relative_to(kept)): file.read_text() for file in kept.rglob("*") if file.is_file()}

    @property
    def result(self):
        return self.events[-1]["result"]

    @property
    def refusals(self):
        return [event["refused"] for event in self.events if "refused" in event]

    def commands(self):
        """Returns the command lines, without the compilation of the tool."""
        return [line for line, _, _ in self.calls if line != "xtask --version"]

    def stages(self):
        return [event["stage"] for event in self.events if event.get("begins")]

    def of(self, key):
        return [event for event in self.events if key in event]


def prepare(folder, jenkinsfile=JENKINSFILE, fails="", prebuilt=f"prebuilt={DIGEST}\n", plan=f"plan={PLAN}\n", **scenario):
    """Writes what one build needs into its folder."""
    sources, programs = folder / "sources", folder / "programs"
    sources.mkdir(parents=True)
    (sources / "Cargo.toml").write_text("")
    programs.mkdir()
    shutil.copy(HERE / "cargo", programs / "cargo")
    (folder / "prebuilt").write_text(prebuilt)
    (folder / "plan").write_text(plan)
    if fails:
        (folder / "fails").write_text(fails + "\n")
    if not isinstance(jenkinsfile, Path):
        (folder / "Jenkinsfile").write_text(jenkinsfile)
        jenkinsfile = folder / "Jenkinsfile"
    given = {"branch": "main", "groups": GROUPS, "path": f"{programs}:/usr/bin:/bin"}
    given |= {"jenkinsfile": str(jenkinsfile), "sources": str(sources)} | scenario
    (folder / "scenario.json").write_text(json.dumps(given))


def run(scenarios):
    """Runs the builds one after the other in one Java machine."""
    with tempfile.TemporaryDirectory() as name:
        folders = {scenario: Path(name) / str(at) for at, scenario in enumerate(scenarios)}
        for scenario, folder in folders.items():
            prepare(folder, **scenarios[scenario])
        subprocess.run(
            ["groovy", HERE / "driver.groovy", *folders.values()],
            env=os.environ | {"JAVA_HOME": java_home(), "JAVA_OPTS": "-XX:TieredStopAtLevel=1", "LC_ALL": "C.UTF-8"},
            check=True,
            timeout=600,
        )
        return {scenario: Build(folder) for scenario, folder in folders.items()}


SCENARIOS = {
    "release": {"answers": YES},
    "refused": {"answers": [{"by": "ada", "says": "no"}]},
    "unanswered": {},
    "outsider": {"answers": [{"by": "mallory", "says": "yes"}]},
    "own": {"answers": YES, "startedBy": "ada"},
    "other": {"answers": YES, "startedBy": "grace"},
    "nothing": {"answers": YES, "plan": ""},
    "branch": {"branch": "topic"},
    "pull request": {"branch": "PR-12", "change": "12"},
    "pull request called main": {"branch": "main", "change": "12"},
    "tag called main": {"branch": "main", "tag": "main"},
    "branch deploys": {"branch": "topic", "params": {"ACTION": "deploy", "ENVIRONMENT": "prod", "FUNCTION": "hello", "VERSION": "1.4.1"}},
    "deploy": {"answers": YES, "params": {"ACTION": "deploy", "ENVIRONMENT": "staging", "FUNCTION": "hello", "VERSION": "1.4.1"}},
    "deploy to dev": {"params": {"ACTION": "deploy", "ENVIRONMENT": "dev", "FUNCTION": "hello", "VERSION": "1.4.1"}},
    "promote": {"answers": YES, "params": {"ACTION": "promote", "ENVIRONMENT": "prod"}},
    "rollback": {"answers": YES, "startedBy": "ada", "params": {"ACTION": "rollback", "ENVIRONMENT": "prod", "FUNCTION": "hello", "VERSION": "1.4.1"}},
    "rollback refused": {"answers": [{"by": "ada", "says": "no"}], "params": {"ACTION": "rollback", "ENVIRONMENT": "prod", "FUNCTION": "hello", "VERSION": "1.4.1"}},
    "status": {"params": {"ACTION": "status", "ENVIRONMENT": "prod"}},
    "drift": {"params": {"ACTION": "drift", "ENVIRONMENT": "prod"}},
    "verify": {"params": {"ACTION": "verify", "ENVIRONMENT": "staging"}},
    "failed check": {"fails": "xtask check"},
    "failed promotion": {"fails": "promote --to staging"},
    "failed plan": {"fails": "promote --to prod", "answers": YES},
    "failed apply": {"fails": "--plan", "answers": YES},
    "forged digest": {"prebuilt": "prebuilt=sha256:1 --force\n"},
    "forged plan": {"plan": "plan=7f3a-91c2-0b44 --accept-state\n", "answers": YES},
    "hostile function": {"params": {"ACTION": "rollback", "ENVIRONMENT": "prod", "FUNCTION": "--lift-hold", "VERSION": "1.4.1"}},
    "hostile version": {"params": {"ACTION": "deploy", "ENVIRONMENT": "dev", "FUNCTION": "hello", "VERSION": "1.4.1\n$(id)"}},
    "hostile environment": {"params": {"ACTION": "status", "ENVIRONMENT": "../prod"}},
    "unknown environment": {"params": {"ACTION": "status", "ENVIRONMENT": "elsewhere"}},
    "unknown action": {"params": {"ACTION": "destroy"}},
}


class JenkinsfileTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.builds = run(SCENARIOS)

    def test_main_goes_from_build_to_prod_with_the_digest_and_the_plan_of_its_own_stages(self):
        build = self.builds["release"]
        self.assertEqual(build.result, "SUCCESS", build.events)
        self.assertEqual(
            build.commands(),
            [
                "xtask check --junit target/checks.xml",
                "xtask build",
                f"xtask release --prebuilt {DIGEST} --yes",
                f"xtask release --env dev --prebuilt {DIGEST} --yes --lock-timeout 15m",
                "xtask promote --to staging --yes --lock-timeout 15m",
                "xtask promote --to prod --yes --save",
                f"xtask deploy --env prod --plan {PLAN} --yes --lock-timeout 15m",
                "xtask verify --env prod",
            ],
        )

    def test_each_command_has_the_identity_that_it_needs_and_no_other(self):
        roles = {line: role.rpartition("/")[2] for line, role, _ in self.builds["release"].calls}
        self.assertEqual(
            {line.removeprefix("xtask ").split(" --yes")[0]: role for line, role in roles.items()},
            {
                "check --junit target/checks.xml": "",
                "build": "",
                # The tool is compiled before a stage has an identity.
                "--version": "",
                f"release --prebuilt {DIGEST}": "slipway-111111111111-publisher",
                f"release --env dev --prebuilt {DIGEST}": "slipway-222222222222-dev-ci-apply",
                "promote --to staging": "slipway-333333333333-staging-ci-apply",
                "promote --to prod": "slipway-444444444444-prod-ci-plan",
                f"deploy --env prod --plan {PLAN}": "slipway-444444444444-prod-ci-apply",
                "verify --env prod": "slipway-444444444444-prod-ci-apply",
            },
        )
        for build in self.builds.values():
            for line, role, token in build.calls:
                self.assertEqual(bool(role), bool(token), line)
                if role:
                    # The path that bootstrap gives every role of CI.
                    self.assertRegex(role, r"^arn:aws:iam::(\d{12}):role/slipway/ci/slipway-\1-")
            for event in build.of("sh"):
                keys = [name for name in event["variables"] if "KEY" in name or "SECRET" in name]
                self.assertEqual(keys, [], "no stored key")
                self.assertIn("SLIPWAY_GRACE", event["variables"])

    def test_code_of_the_project_and_identities_never_share_an_agent(self):
        for name, build in self.builds.items():
            for event in build.of("credential"):
                before = [other for other in build.events if other.get("agent") and other["stage"] == event["stage"]]
                self.assertTrue(all(other["agent"] == "slipway-deploy" for other in before), name)
            for event in build.of("sh"):
                if re.search("check|build", event["sh"]) and "--prebuilt" not in event["sh"]:
                    self.assertEqual(event["agent"], "slipway-build", name)

    def test_branch_pull_request_and_tag_check_and_build_without_an_identity(self):
        for name in ("branch", "pull request", "pull request called main", "tag called main"):
            build = self.builds[name]
            self.assertEqual(build.result, "SUCCESS", name)
            self.assertEqual(build.commands(), ["xtask check --junit target/checks.xml", "xtask build"], name)
            self.assertEqual(build.of("credential"), [], name)
            self.assertEqual(build.stages(), ["Parameters", "Without an identity", "Check and scan", "Build"], name)
        build = self.builds["branch deploys"]
        self.assertEqual((build.result, build.calls), ("FAILURE", []))
        self.assertEqual(build.refusals, ["deploy is for main alone, and this is topic"])

    def test_approval_shows_the_plan_names_submitters_and_holds_no_agent(self):
        for name in ("release", "refused", "unanswered", "promote", "deploy"):
            asks = self.builds[name].of("asks")
            self.assertEqual(len(asks), 1, name)
            target = "staging" if name == "deploy" else "prod"
            self.assertEqual(asks[0]["submitter"], f"slipway-{target}-approvers")
            self.assertIsNone(asks[0].get("holds"), name)
            self.assertIn(PLAN, asks[0]["asks"])
            self.assertIn("### Slipway: plan · prod: 1 change", asks[0]["asks"])
        build = self.builds["release"]
        self.assertEqual(build.archive["target/summary/plan.md"], "### Slipway: plan · prod: 1 change\n")
        self.assertIn("target/summary/plan.html", build.archive)
        self.assertEqual([event["exists"] for event in build.of("published")], [True])
        begun = build.events.index(build.of("asks")[0])
        held = [event for event in build.events[:begun] if event.get("agent") and "sh" not in event]
        self.assertEqual(len(held), len([event for event in build.events[:begun] if "released" in event]))

    def test_nothing_is_applied_without_the_approval(self):
        for name in ("refused", "unanswered", "outsider", "own", "rollback refused"):
            build = self.builds[name]
            self.assertEqual(build.result, "FAILURE" if name == "own" else "ABORTED", name)
            applied = [line for line in build.commands() if "--plan" in line or "rollback" in line or "verify" in line]
            self.assertEqual(applied, [], name)
        self.assertEqual(self.builds["own"].refusals[0], "ada started this build, and another one has to approve it")
        self.assertEqual(self.builds["other"].result, "SUCCESS")

    def test_plan_without_changes_asks_nobody(self):
        build = self.builds["nothing"]
        self.assertEqual((build.result, build.of("asks")), ("SUCCESS", []))
        self.assertEqual(build.commands()[-1], "xtask promote --to prod --yes --save")

    def test_chosen_release_is_planned_approved_and_applied(self):
        commands = [
            "xtask plan --env staging --version 1.4.1 --save -- hello",
            f"xtask deploy --env staging --plan {PLAN} --yes --lock-timeout 15m",
            "xtask verify --env staging",
        ]
        self.assertEqual(self.builds["deploy"].commands(), commands)
        build = self.builds["deploy to dev"]
        self.assertEqual(build.commands(), [line.replace("staging", "dev") for line in commands])
        self.assertEqual(build.of("asks"), [])

    def test_rollback_is_approved_by_one_person_and_verified(self):
        build = self.builds["rollback"]
        self.assertEqual(build.result, "SUCCESS")
        self.assertEqual(build.of("asks")[0]["asks"], "Roll back hello to 1.4.1 in prod?")
        self.assertEqual(
            build.commands(),
            ["xtask rollback --env prod --to 1.4.1 --yes --lock-timeout 5m -- hello", "xtask verify --env prod"],
        )

    def test_looking_changes_nothing_and_has_a_role_that_reads(self):
        for name, role in (("status", "prod-ci-plan"), ("drift", "prod-ci-plan"), ("verify", "staging-ci-apply")):
            build = self.builds[name]
            self.assertEqual(build.result, "SUCCESS", name)
            self.assertRegex(build.calls[-1][1], rf"^arn:aws:iam::\d{{12}}:role/slipway/ci/slipway-\d{{12}}-{role}$")
            self.assertEqual(len(build.commands()), 1, name)

    def test_failure_stops_the_stages_after_it_and_keeps_events_alone(self):
        last = {"failed check": "check", "failed promotion": "promote --to staging", "failed plan": "promote --to prod", "failed apply": "--plan"}
        for name, text in last.items():
            build = self.builds[name]
            self.assertEqual(build.result, "FAILURE", name)
            self.assertIn(text, build.commands()[-1], name)
            kept = [path for path in build.archive if "runs/" in path]
            self.assertEqual(kept, ["target/slipway/runs/20261130T000000000-1/events.jsonl"], name)
            self.assertNotIn("hush", "".join(build.archive.values()), name)

    def test_workspaces_are_clean_before_and_after(self):
        count = 0
        for name, build in self.builds.items():
            for event in build.of("checkout"):
                self.assertEqual(event["over"], [], f"{name}: {event['stage']}")
                count += 1
            for event in build.of("released"):
                self.assertEqual(event["left"], [], f"{name}: {event['stage']}")
        self.assertGreater(count, 30)

    def test_results_of_checks_are_published(self):
        for name in ("release", "branch", "pull request"):
            self.assertEqual([event["junit"] for event in self.builds[name].of("junit")], [["target/checks.xml"]])

    def test_stages_with_an_agent_have_time_limits(self):
        begun = {event["stage"]: event["options"] for build in self.builds.values() for event in build.of("begins")}
        groups = {"Parameters", "Check and scan", "Build", "Main"}
        without = {stage for stage, options in begun.items() if "timeout" not in options}
        self.assertEqual(without, groups)
        written = set(re.findall(r"stage\('([^']+)'\)", JENKINSFILE.read_text()))
        self.assertEqual(set(begun), written, "every stage ran in some build")

    def test_values_of_others_are_no_options(self):
        for name in ("hostile function", "hostile version", "hostile environment", "unknown action"):
            build = self.builds[name]
            self.assertNotEqual(build.result, "SUCCESS", name)
            self.assertEqual(build.calls, [], name)
        build = self.builds["forged digest"]
        self.assertEqual((build.result, build.commands()[-1]), ("FAILURE", "xtask build"))
        build = self.builds["forged plan"]
        self.assertEqual((build.result, build.commands()[-1]), ("FAILURE", "xtask promote --to prod --yes --save"))
        self.assertEqual(build.of("asks"), [])
        build = self.builds["unknown environment"]
        self.assertEqual(build.refusals[0], "the Jenkinsfile knows no role `elsewhere-plan`: add its ARN to roleArn")

    def test_driver_refuses_what_jenkins_refuses(self):
        pipeline = "pipeline { agent none\n stages { stage('A') { %s } } }"
        wrong = {
            "steps { sh 'exec true' }": "a step needs an agent",
            "steps { unknownStep() }": "unknownStep",
            "agent { docker 'x' }\n steps { echo 'a' }": "docker",
            "agent { label 'a' }\n steps { sh 'exec cargo build'; stash name: 'a', includes: 'none/**' }": None,
        }
        builds = run({stage: {"jenkinsfile": pipeline % stage} for stage in wrong})
        for stage, build in builds.items():
            if wrong[stage]:
                self.assertIn(wrong[stage], build.events[-1].get("wrong", ""), stage)
            else:
                self.assertEqual((build.result, build.refusals), ("FAILURE", ["no files included in stash ‘a’"]))


if __name__ == "__main__":
    unittest.main()
