//! The continuous integration systems that Slipway knows, and what each says about a run.
//!
//! In: the environment variables. Out: [`CiRun`]: who started the run, and its address. Provenance takes nothing of it: everybody
//! who runs a build can set variables, so that `crate::identity` reads the token that the system signed. Another system is one more
//! variant of [`CiProvider`], here and nowhere else.

use super::process_environment::Variables;

/// A continuous integration system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CiProvider {
    /// [GitHub Actions](https://docs.github.com/en/actions/reference/workflows-and-actions/variables).
    GitHubActions,
    /// [GitLab CI](https://docs.gitlab.com/ci/variables/predefined_variables/).
    GitLabCi,
    /// [Buildkite](https://buildkite.com/docs/pipelines/configure/environment-variables).
    Buildkite,
    /// [Jenkins](https://www.jenkins.io/doc/book/pipeline/jenkinsfile/#using-environment-variables).
    Jenkins,
    /// Another system that sets `CI`.
    Generic,
}

/// What a continuous integration system says about the present run; a value that it does not set is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CiRun {
    /// Who started the run, with the run's number.
    pub(crate) actor: Option<String>,
    /// The run's address.
    pub(crate) url: Option<String>,
}

impl CiProvider {
    /// Returns the system that set these variables.
    pub(super) fn detect(variables: &Variables) -> Option<Self> {
        let set = |name: &str| variables.get(name).is_some();
        if set("GITHUB_ACTIONS") || set("GITHUB_RUN_ID") {
            Some(Self::GitHubActions)
        } else if set("GITLAB_CI") {
            Some(Self::GitLabCi)
        } else if set("BUILDKITE") {
            Some(Self::Buildkite)
        } else if set("JENKINS_URL") || set("JOB_URL") || (set("JOB_NAME") && set("BUILD_NUMBER")) {
            // JENKINS_URL and JOB_URL are set only where the controller's configuration names its own address.
            Some(Self::Jenkins)
        } else {
            variables.is_ci().then_some(Self::Generic)
        }
    }

    /// Returns what the system says about the run; `user` is the system user that runs this process.
    pub(super) fn run(self, variables: &Variables, user: &str) -> CiRun {
        let get = |name: &str| variables.get(name).map(str::to_owned);
        match self {
            Self::GitHubActions => {
                let server = get("GITHUB_SERVER_URL");
                let run = get("GITHUB_RUN_ID");
                CiRun {
                    actor: get("GITHUB_ACTOR")
                        .map(|actor| format!("{actor} (GitHub run {})", run.as_deref().unwrap_or("?"))),
                    url: server.as_ref().zip(get("GITHUB_REPOSITORY")).zip(run).map(
                        |((server, repository), run)| format!("{server}/{repository}/actions/runs/{run}"),
                    ),
                }
            }
            Self::GitLabCi => CiRun {
                actor: get("GITLAB_USER_LOGIN").map(|login| {
                    format!("{login} (GitLab pipeline {})", variables.get("CI_PIPELINE_ID").unwrap_or("?"))
                }),
                url: get("CI_PIPELINE_URL"),
            },
            Self::Buildkite => {
                let pipeline = get("BUILDKITE_PIPELINE_SLUG");
                CiRun {
                    actor: pipeline.as_ref().zip(get("BUILDKITE_BUILD_NUMBER")).map(|(pipeline, number)| {
                        let creator = variables.get("BUILDKITE_BUILD_CREATOR").unwrap_or(user);
                        format!("{creator} (Buildkite {pipeline} {number})")
                    }),
                    url: get("BUILDKITE_BUILD_URL"),
                }
            }
            Self::Jenkins => CiRun {
                actor: get("JOB_NAME").zip(get("BUILD_NUMBER")).map(|(job, number)| {
                    format!("{} (Jenkins {job} {number})", variables.get("BUILD_USER_ID").unwrap_or(user))
                }),
                url: get("BUILD_URL"),
            },
            Self::Generic => CiRun { actor: None, url: get("BUILD_URL") },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the detected system and what it says about the run.
    fn detected(variables: &[(&str, &str)]) -> (CiProvider, CiRun) {
        let variables = Variables::from(variables);
        let provider = CiProvider::detect(&variables).expect("a system");
        (provider, provider.run(&variables, "runner"))
    }

    fn run(actor: &str, url: &str) -> CiRun {
        let value = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        CiRun { actor: value(actor), url: value(url) }
    }

    /// Returns a set of variables with some of them replaced; an empty text unsets one.
    fn with<'a>(set: &[(&'a str, &'a str)], changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let kept = set.iter().filter(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
        kept.chain(changes).copied().collect()
    }

    const GITHUB: &[(&str, &str)] = &[
        ("CI", "true"),
        ("GITHUB_ACTION", "__run"),
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_ACTOR", "octocat"),
        ("GITHUB_ACTOR_ID", "1234567"),
        ("GITHUB_API_URL", "https://api.github.com"),
        ("GITHUB_BASE_REF", ""),
        ("GITHUB_EVENT_NAME", "push"),
        ("GITHUB_HEAD_REF", ""),
        ("GITHUB_JOB", "release"),
        ("GITHUB_REF", "refs/heads/main"),
        ("GITHUB_REF_NAME", "main"),
        ("GITHUB_REF_PROTECTED", "true"),
        ("GITHUB_REF_TYPE", "branch"),
        ("GITHUB_REPOSITORY", "octocat/shop"),
        ("GITHUB_REPOSITORY_OWNER", "octocat"),
        ("GITHUB_RUN_ATTEMPT", "1"),
        ("GITHUB_RUN_ID", "1658821493"),
        ("GITHUB_RUN_NUMBER", "3"),
        ("GITHUB_SERVER_URL", "https://github.com"),
        ("GITHUB_SHA", "ffac537e6cbbf934b08745a378932722df287a53"),
        ("GITHUB_TRIGGERING_ACTOR", "octocat"),
        ("GITHUB_WORKFLOW", "release"),
        ("GITHUB_WORKFLOW_REF", "octocat/shop/.github/workflows/release.yml@refs/heads/main"),
        ("RUNNER_OS", "Linux"),
        ("USER", "runner"),
    ];

    const GITLAB: &[(&str, &str)] = &[
        ("CI", "true"),
        ("CI_COMMIT_BRANCH", "main"),
        ("CI_COMMIT_REF_NAME", "main"),
        ("CI_COMMIT_REF_PROTECTED", "true"),
        ("CI_COMMIT_SHA", "1ecfd275763eff1d6b4844ea3168962458c9f27a"),
        ("CI_CONFIG_PATH", ".gitlab-ci.yml"),
        ("CI_JOB_ID", "50"),
        ("CI_JOB_NAME", "release"),
        ("CI_JOB_URL", "https://gitlab.example.com/acme/shop/-/jobs/50"),
        ("CI_PIPELINE_ID", "1000"),
        ("CI_PIPELINE_IID", "10"),
        ("CI_PIPELINE_SOURCE", "push"),
        ("CI_PIPELINE_URL", "https://gitlab.example.com/acme/shop/-/pipelines/1000"),
        ("CI_PROJECT_NAME", "shop"),
        ("CI_PROJECT_PATH", "acme/shop"),
        ("CI_PROJECT_URL", "https://gitlab.example.com/acme/shop"),
        ("CI_SERVER", "yes"),
        ("CI_SERVER_NAME", "GitLab"),
        ("CI_SERVER_URL", "https://gitlab.example.com"),
        ("GITLAB_CI", "true"),
        ("GITLAB_USER_EMAIL", "ada@example.com"),
        ("GITLAB_USER_ID", "42"),
        ("GITLAB_USER_LOGIN", "ada"),
        ("USER", "root"),
    ];

    const BUILDKITE: &[(&str, &str)] = &[
        ("BUILDKITE", "true"),
        ("BUILDKITE_AGENT_NAME", "elastic-builders-088cf"),
        ("BUILDKITE_BRANCH", "main"),
        ("BUILDKITE_BUILD_CREATOR", "Ada Lovelace"),
        ("BUILDKITE_BUILD_CREATOR_EMAIL", "ada@example.com"),
        ("BUILDKITE_BUILD_ID", "4735ba57-80d0-46e2-8fa0-b28223a86586"),
        ("BUILDKITE_BUILD_NUMBER", "1514"),
        ("BUILDKITE_BUILD_URL", "https://buildkite.com/acme-inc/shop/builds/1514"),
        ("BUILDKITE_COMMIT", "83a20ec058e2fb00e7fa4558c4c6e81e2dcf253d"),
        ("BUILDKITE_JOB_ID", "e44f9784-e20e-4b93-a21d-f41fd5869db9"),
        ("BUILDKITE_ORGANIZATION_SLUG", "acme-inc"),
        ("BUILDKITE_PIPELINE_NAME", "Shop"),
        ("BUILDKITE_PIPELINE_SLUG", "shop"),
        ("BUILDKITE_PULL_REQUEST", "false"),
        ("BUILDKITE_REPO", "git@github.com:acme-inc/shop.git"),
        ("BUILDKITE_SOURCE", "webhook"),
        ("BUILDKITE_TAG", ""),
        ("CI", "true"),
    ];

    const JENKINS: &[(&str, &str)] = &[
        ("BRANCH_IS_PRIMARY", "true"),
        ("BRANCH_NAME", "main"),
        ("BUILD_DISPLAY_NAME", "#153"),
        ("BUILD_ID", "153"),
        ("BUILD_NUMBER", "153"),
        ("BUILD_TAG", "jenkins-shop-main-153"),
        ("BUILD_URL", "https://jenkins.example.com/job/shop/job/main/153/"),
        ("CI", "true"),
        ("EXECUTOR_NUMBER", "0"),
        ("JENKINS_HOME", "/var/jenkins_home"),
        ("JENKINS_URL", "https://jenkins.example.com/"),
        ("JOB_BASE_NAME", "main"),
        ("JOB_NAME", "shop/main"),
        ("JOB_URL", "https://jenkins.example.com/job/shop/job/main/"),
        ("NODE_NAME", "agent-1"),
        ("STAGE_NAME", "Release"),
        ("USER", "jenkins"),
        ("WORKSPACE", "/var/jenkins_home/workspace/shop_main"),
    ];

    #[test]
    fn each_system_names_who_started_the_run_and_its_address() {
        for (variables, provider, expected) in [
            (
                GITHUB,
                CiProvider::GitHubActions,
                run(
                    "octocat (GitHub run 1658821493)",
                    "https://github.com/octocat/shop/actions/runs/1658821493",
                ),
            ),
            (
                GITLAB,
                CiProvider::GitLabCi,
                run("ada (GitLab pipeline 1000)", "https://gitlab.example.com/acme/shop/-/pipelines/1000"),
            ),
            (
                BUILDKITE,
                CiProvider::Buildkite,
                run("Ada Lovelace (Buildkite shop 1514)", "https://buildkite.com/acme-inc/shop/builds/1514"),
            ),
            (
                JENKINS,
                CiProvider::Jenkins,
                run("runner (Jenkins shop/main 153)", "https://jenkins.example.com/job/shop/job/main/153/"),
            ),
        ] {
            assert_eq!(detected(variables), (provider, expected));
        }
        let (_, named) = detected(&with(JENKINS, &[("BUILD_USER_ID", "ada")]));
        assert_eq!(named.actor.as_deref(), Some("ada (Jenkins shop/main 153)"));
    }

    #[test]
    fn jenkins_without_its_own_address_is_detected_by_job_and_build() {
        let unset = [("JENKINS_URL", ""), ("BUILD_URL", ""), ("JOB_URL", "")];
        let (provider, found) = detected(&with(JENKINS, &unset));
        assert_eq!(provider, CiProvider::Jenkins);
        assert_eq!(found, run("runner (Jenkins shop/main 153)", ""));
    }

    #[test]
    fn generic_system_is_detected_by_ci_and_says_only_what_is_set() {
        assert_eq!(detected(&[("CI", "true")]), (CiProvider::Generic, CiRun::default()));
        let set = [("CI", "1"), ("BUILD_URL", "https://ci.example.com/7"), ("BRANCH_NAME", "main")];
        assert_eq!(detected(&set), (CiProvider::Generic, run("", "https://ci.example.com/7")));
    }

    #[test]
    fn no_system_is_detected_on_a_developers_machine() {
        for set in [&[("USER", "ada")][..], &[("CI", "false")], &[("CI", "0")], &[("JOB_NAME", "x")]] {
            assert_eq!(CiProvider::detect(&Variables::from(set)), None, "{set:?}");
        }
    }
}
