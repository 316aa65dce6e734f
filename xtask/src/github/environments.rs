//! The rules of a GitHub repository's environments, which decide whose jobs get a role.
//!
//! In: the environments that roles trust, and GitHub's API. Out: what their rules lack. GitHub makes an environment at its
//! first mention, without rules. Errors: GitHub cannot be reached. The API:
//! <https://docs.github.com/en/rest/deployments/environments>, <https://docs.github.com/en/rest/deployments/branch-policies>.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

use super::{TIME_LIMIT, header};
use crate::failure::{Failure, Result};
use crate::ports::{HttpRequest, Services};
use crate::settings::ProcessEnvironment;

/// Whom roles trust: the output `trusted_github_environments` of `terraform/bootstrap`, for one environment or the publisher.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct TrustedJobs {
    /// `owner/name`.
    pub(crate) repository: String,
    /// The repository's number, where the roles ask for it.
    #[serde(default)]
    pub(crate) repository_id: Option<String>,
    /// The branch that the jobs must be of; nothing for any.
    #[serde(default)]
    pub(crate) branch: String,
    /// The GitHub environments: that of applies, or of the publisher, then that of plans.
    pub(crate) names: Vec<String>,
}

/// What one GitHub environment must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted<'a> {
    /// The repository, `owner/name`.
    pub(crate) repository: &'a str,
    /// The GitHub environment.
    pub(crate) name: &'a str,
    /// The branch that alone may get into it; any branch is accepted for `""`, but not every one.
    pub(crate) branch: &'a str,
    /// Whether somebody must approve its jobs.
    pub(crate) reviewers: bool,
}

impl Wanted<'_> {
    /// Says what to look at on GitHub.
    pub(crate) fn text(&self) -> String {
        let branch = if self.branch.is_empty() { "chosen branches" } else { self.branch };
        let reviewers = if self.reviewers { ", required reviewers" } else { "" };
        format!("`{}`: deployments from {branch} alone{reviewers}", self.name)
    }
}

/// GitHub's API, as a token may read it.
pub(crate) struct EnvironmentRules<'a> {
    api: String,
    token: String,
    services: &'a Arc<dyn Services>,
}

#[derive(Deserialize)]
struct Environment {
    #[serde(default)]
    protection_rules: Vec<Rule>,
    deployment_branch_policy: Option<BranchPolicy>,
}

#[derive(Deserialize)]
struct Rule {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    reviewers: Vec<Value>,
}

#[derive(Deserialize)]
struct BranchPolicy {
    protected_branches: bool,
}

#[derive(Deserialize)]
struct Branch {
    protected: bool,
}

#[derive(Deserialize)]
struct Policies {
    branch_policies: Vec<Policy>,
}

#[derive(Deserialize)]
struct Policy {
    name: String,
    #[serde(rename = "type", default)]
    kind: String,
}

#[derive(Deserialize)]
struct Repository {
    id: u64,
}

/// An answer: what was asked for, or why there is none.
enum Answer<T> {
    Found(T),
    Missing,
    Refused(String),
}

impl<'a> EnvironmentRules<'a> {
    /// Returns the API, with the token of `GITHUB_TOKEN` or `GH_TOKEN`; nothing without one.
    pub(crate) fn find(process_env: &ProcessEnvironment, services: &'a Arc<dyn Services>) -> Option<Self> {
        let token = process_env.get("GITHUB_TOKEN").or_else(|| process_env.get("GH_TOKEN"))?;
        let api = process_env.get("GITHUB_API_URL").unwrap_or("https://api.github.com");
        Some(Self { api: api.trim_end_matches('/').to_owned(), token: token.to_owned(), services })
    }

    /// Returns what a GitHub environment's rules lack.
    pub(crate) async fn problems(&self, wanted: &Wanted<'_>) -> Result<Vec<String>> {
        let place = format!("repos/{}/environments/{}", wanted.repository, wanted.name);
        let environment: Environment = match self.get(&place).await? {
            Answer::Found(environment) => environment,
            Answer::Missing => {
                return Ok(vec![
                    "does not exist, or this token may not read it: GitHub makes it at its first mention, without any rule".to_owned(),
                ]);
            }
            Answer::Refused(why) => return Ok(vec![format!("could not be looked at: {why}")]),
        };
        let mut problems: Vec<String> =
            self.branch_problem(wanted, &environment, &place).await?.into_iter().collect();
        let is_reviewed = environment
            .protection_rules
            .iter()
            .any(|rule| rule.kind == "required_reviewers" && !rule.reviewers.is_empty());
        if wanted.reviewers && !is_reviewed {
            problems.push("has no required reviewers: its jobs run without anybody's approval".to_owned());
        }
        Ok(problems)
    }

    async fn branch_problem(
        &self,
        wanted: &Wanted<'_>,
        environment: &Environment,
        place: &str,
    ) -> Result<Option<String>> {
        let Some(policy) = &environment.deployment_branch_policy else {
            return Ok(Some("takes jobs of any branch: no deployment branches are chosen".to_owned()));
        };
        if policy.protected_branches {
            // Where no branch is protected, "protected branches only" lets every branch in.
            let branch = if wanted.branch.is_empty() { "main" } else { wanted.branch };
            let place = format!("repos/{}/branches/{branch}", wanted.repository);
            return Ok(match self.get::<Branch>(&place).await? {
                Answer::Found(Branch { protected: true }) => None,
                Answer::Found(_) | Answer::Missing => Some(format!(
                    "takes protected branches, and {branch} is none: where no branch is protected, it takes all"
                )),
                Answer::Refused(why) => {
                    Some(format!("takes protected branches, and {branch} could not be looked at: {why}"))
                }
            });
        }
        let policies =
            match self.get::<Policies>(&format!("{place}/deployment-branch-policies?per_page=100")).await? {
                Answer::Found(found) => found.branch_policies,
                Answer::Missing => Vec::new(),
                Answer::Refused(why) => {
                    return Ok(Some(format!("has branches that could not be looked at: {why}")));
                }
            };
        let is_wanted = |policy: &&Policy| {
            let is_branch = policy.kind.is_empty() || policy.kind == "branch";
            is_branch
                && (policy.name == wanted.branch || (wanted.branch.is_empty() && !policy.name.contains('*')))
        };
        let others: Vec<String> = policies
            .iter()
            .filter(|policy| !is_wanted(policy))
            .map(|policy| format!("`{}`", policy.name))
            .collect();
        Ok((!others.is_empty()).then(|| format!("takes jobs of {} too", others.join(", "))))
    }

    /// Returns the repository's number; an error text where GitHub does not tell it.
    pub(crate) async fn repository_id(
        &self,
        repository: &str,
    ) -> Result<std::result::Result<String, String>> {
        Ok(match self.get::<Repository>(&format!("repos/{repository}")).await? {
            Answer::Found(found) => Ok(found.id.to_string()),
            Answer::Missing => {
                Err(format!("GitHub has no repository {repository}, or this token may not read it"))
            }
            Answer::Refused(why) => Err(why),
        })
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> Result<Answer<T>> {
        let request = HttpRequest {
            method: "GET".to_owned(),
            url: format!("{}/{path}", self.api),
            headers: vec![
                header("accept", "application/vnd.github+json"),
                header("authorization", &format!("Bearer {}", self.token)),
                header("user-agent", "slipway"),
                header("x-github-api-version", "2022-11-28"),
            ],
            body: Vec::new(),
        };
        let response = self.services.send(&request, None, TIME_LIMIT).await?;
        match response.status {
            200..=299 => serde_json::from_slice(&response.body).map(Answer::Found).map_err(|error| {
                Failure::failed(format!("GitHub's response to GET {path} is not what its API describes"))
                    .caused_by(error)
            }),
            404 => Ok(Answer::Missing),
            status => {
                let document: Value = serde_json::from_slice(&response.body).unwrap_or_default();
                let message = document.get("message").and_then(Value::as_str).unwrap_or("without a reason");
                Ok(Answer::Refused(format!("GitHub answered {status} {message}")))
            }
        }
    }
}

/// Reads the output `trusted_github_environments`: by environment, and `publisher`.
pub(crate) fn trusted_jobs(output: &Value) -> Result<BTreeMap<String, TrustedJobs>> {
    if output.is_null() {
        return Ok(BTreeMap::new());
    }
    serde_json::from_value(output.clone()).map_err(|error| {
        Failure::failed("the output trusted_github_environments of terraform/bootstrap has another form")
            .caused_by(error)
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::fakes::FakeServices;
    use crate::ports::HttpResponse;

    async fn problems(wanted: &Wanted<'_>, answers: &[(u16, Value)]) -> (Vec<String>, Vec<String>) {
        let fake = FakeServices::default();
        *fake.responses.lock().unwrap() = answers
            .iter()
            .map(|(status, body)| HttpResponse {
                status: *status,
                headers: Vec::new(),
                body: body.to_string().into_bytes(),
                took: Duration::ZERO,
            })
            .collect();
        let services: Arc<dyn Services> = Arc::new(fake.clone());
        let rules = EnvironmentRules { api: "https://api".into(), token: "t".into(), services: &services };
        let found = rules.problems(wanted).await.unwrap();
        let sent = fake.sent.lock().unwrap();
        let paths = sent
            .iter()
            .map(|(request, _)| request.url.trim_start_matches("https://api/repos/acme/shop/").to_owned());
        (found, paths.collect())
    }

    fn wanted(reviewers: bool) -> Wanted<'static> {
        Wanted { repository: "acme/shop", name: "prod", branch: "main", reviewers }
    }

    fn environment(reviewers: usize, policy: Value) -> Value {
        let reviewers: Vec<Value> =
            (0..reviewers).map(|id| json!({ "type": "User", "reviewer": { "id": id } })).collect();
        json!({
            "name": "prod",
            "protection_rules": [{ "type": "branch_policy" }, { "type": "required_reviewers", "reviewers": reviewers }],
            "deployment_branch_policy": policy,
        })
    }

    fn custom() -> Value {
        json!({ "protected_branches": false, "custom_branch_policies": true })
    }

    fn policies(names: &[(&str, &str)]) -> Value {
        let policies: Vec<Value> =
            names.iter().map(|(name, kind)| json!({ "name": name, "type": kind })).collect();
        json!({ "total_count": policies.len(), "branch_policies": policies })
    }

    #[tokio::test]
    async fn environment_with_reviewers_and_its_branch_alone_lacks_nothing() {
        let answers = [(200, environment(1, custom())), (200, policies(&[("main", "branch")]))];
        let (found, sent) = problems(&wanted(true), &answers).await;
        assert_eq!(found, Vec::<String>::new());
        assert_eq!(sent, ["environments/prod", "environments/prod/deployment-branch-policies?per_page=100"]);
        let protected = json!({ "protected_branches": true, "custom_branch_policies": false });
        let answers = [(200, environment(1, protected)), (200, json!({ "name": "main", "protected": true }))];
        let (found, sent) = problems(&wanted(true), &answers).await;
        assert_eq!((found, sent[1].as_str()), (Vec::new(), "branches/main"));
    }

    #[tokio::test]
    async fn each_missing_rule_is_named() {
        let protected = json!({ "protected_branches": true, "custom_branch_policies": false });
        for (answers, words) in [
            (vec![(404, json!({}))], vec!["does not exist"]),
            (
                vec![(403, json!({ "message": "Resource not accessible" }))],
                vec!["could not be looked at: GitHub answered 403 Resource not accessible"],
            ),
            (
                vec![(200, environment(0, Value::Null))],
                vec!["takes jobs of any branch", "has no required reviewers"],
            ),
            (
                vec![
                    (200, environment(1, custom())),
                    (200, policies(&[("main", "branch"), ("*", "branch")])),
                ],
                vec!["takes jobs of `*` too"],
            ),
            (
                vec![(200, environment(1, custom())), (200, policies(&[("main", "tag")]))],
                vec!["takes jobs of `main` too"],
            ),
            (
                vec![(200, environment(1, protected.clone())), (200, json!({ "protected": false }))],
                vec!["main is none"],
            ),
            (vec![(200, environment(1, protected)), (404, json!({}))], vec!["main is none"]),
        ] {
            let (found, _) = problems(&wanted(true), &answers).await;
            assert_eq!(found.len(), words.len(), "{found:?}");
            for (found, word) in found.iter().zip(words) {
                assert!(found.contains(word), "{found}");
            }
        }
        // Nobody approves a plan before it is made.
        let answers = [(200, environment(0, custom())), (200, policies(&[("main", "branch")]))];
        assert_eq!(problems(&wanted(false), &answers).await.0, Vec::<String>::new());
    }

    #[test]
    fn trusted_jobs_are_those_of_the_output() {
        let output = json!({ "prod": { "repository": "acme/shop", "repository_id": null, "branch": "main", "names": ["prod", "prod-plan"] } });
        let jobs = trusted_jobs(&output).unwrap();
        assert_eq!(jobs["prod"].names, ["prod", "prod-plan"]);
        assert!(trusted_jobs(&Value::Null).unwrap().is_empty());
        assert!(trusted_jobs(&json!({ "prod": 1 })).is_err());
    }
}
