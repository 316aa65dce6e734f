//! Variables of a GitHub repository's environment, set from what stacks put out: nothing is copied by hand.
//!
//! In: the wanted variables. Out: which were made, changed, or right already. Goes wrong: no token, no such environment in
//! the repository, a token that may not. The protocol: <https://docs.github.com/en/rest/actions/variables>.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::failure::{Failure, Result};
use crate::name::EnvironmentName;
use crate::ports::{HttpRequest, HttpResponse, Services};
use crate::settings::ProcessEnvironment;

/// GitHub's largest page of variables.
const PAGE: usize = 30;
const WITHIN: Duration = Duration::from_secs(30);

/// What became of one variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Variable {
    /// Its name.
    pub(crate) name: String,
    /// Its value.
    pub(crate) value: String,
    /// `made`, `changed` or `unchanged`.
    pub(crate) done: String,
}

/// A repository, as the API reaches it.
pub(super) struct Repository {
    api: String,
    name: String,
    token: String,
}

impl Repository {
    /// Finds repository and token: `GITHUB_REPOSITORY` or the remote's address; `GITHUB_TOKEN` or `GH_TOKEN`.
    pub(super) fn find(process_env: &ProcessEnvironment, remote: Option<&str>) -> Result<Self> {
        let name = process_env.get("GITHUB_REPOSITORY").map(str::to_owned);
        let name = name.or_else(|| remote.and_then(repository_of)).ok_or_else(|| {
            Failure::usage("the repository on GitHub is not known")
                .hint("set GITHUB_REPOSITORY=owner/name, or add a remote `origin` that leads there")
        })?;
        let token = process_env.get("GITHUB_TOKEN").or_else(|| process_env.get("GH_TOKEN"));
        let token = token.ok_or_else(|| {
            Failure::usage("there is no token for GitHub").hint(
                "set GH_TOKEN to a token that may write the repository's environments; a workflow's own may not",
            )
        })?;
        let api = process_env.get("GITHUB_API_URL").unwrap_or("https://api.github.com");
        Ok(Self { api: api.trim_end_matches('/').to_owned(), name, token: token.to_owned() })
    }

    /// Brings the variables of an environment to these values; others are left alone.
    pub(super) async fn set(
        &self,
        services: &Arc<dyn Services>,
        environment: &EnvironmentName,
        wanted: &BTreeMap<String, String>,
    ) -> Result<Vec<Variable>> {
        let known = self.variables(services, environment).await?;
        let place = format!("repos/{}/environments/{environment}/variables", self.name);
        let mut done = Vec::new();
        for (name, value) in wanted {
            let body = json!({ "name": name, "value": value });
            let word = match known.get(name) {
                Some(there) if there == value => "unchanged",
                Some(_) => {
                    self.ask(services, environment, "PATCH", &format!("{place}/{name}"), Some(&body)).await?;
                    "changed"
                }
                None => {
                    self.ask(services, environment, "POST", &place, Some(&body)).await?;
                    "made"
                }
            };
            done.push(Variable { name: name.clone(), value: value.clone(), done: word.to_owned() });
        }
        Ok(done)
    }

    async fn variables(
        &self,
        services: &Arc<dyn Services>,
        environment: &EnvironmentName,
    ) -> Result<BTreeMap<String, String>> {
        let mut known = BTreeMap::new();
        for page in 1.. {
            let path = format!(
                "repos/{}/environments/{environment}/variables?per_page={PAGE}&page={page}",
                self.name
            );
            let answer = self.ask(services, environment, "GET", &path, None).await?;
            let document: Value = serde_json::from_slice(&answer.body)
                .map_err(|error| Failure::failed("GitHub did not answer with JSON").caused_by(error))?;
            let items = document.get("variables").and_then(Value::as_array).cloned().unwrap_or_default();
            let text = |item: &Value, name: &str| {
                item.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
            };
            known.extend(items.iter().map(|item| (text(item, "name"), text(item, "value"))));
            if items.len() < PAGE {
                break;
            }
        }
        Ok(known)
    }

    async fn ask(
        &self,
        services: &Arc<dyn Services>,
        environment: &EnvironmentName,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<HttpResponse> {
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let request = HttpRequest {
            method: method.to_owned(),
            url: format!("{}/{path}", self.api),
            headers: vec![
                header("accept", "application/vnd.github+json"),
                header("authorization", &format!("Bearer {}", self.token)),
                header("content-type", "application/json"),
                header("user-agent", "slipway"),
                header("x-github-api-version", "2022-11-28"),
            ],
            body: body.map(|body| body.to_string().into_bytes()).unwrap_or_default(),
        };
        let answer = services.send(&request, None, WITHIN).await?;
        let said = || {
            let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            document.get("message").and_then(Value::as_str).unwrap_or("no reason was given").to_owned()
        };
        match answer.status {
            200..=299 => Ok(answer),
            404 => Err(Failure::failed(format!(
                "GitHub knows no environment `{environment}` of {}, or this token may not see it",
                self.name
            ))
            .hint("make it under Settings -> Environments; the token must read and write environments")),
            status => Err(Failure::failed(format!("GitHub refused: {status} {}", said()))
                .hint("the token must read and write the repository's environments")),
        }
    }
}

/// Reads `owner/name` out of a remote's address.
fn repository_of(remote: &str) -> Option<String> {
    let (_, path) = remote.split_once("github.com").filter(|(_, path)| path.starts_with([':', '/']))?;
    let path = path[1..].trim_end_matches('/').trim_end_matches(".git");
    let (owner, name) = path.split_once('/')?;
    (!owner.is_empty() && !name.is_empty() && !name.contains('/')).then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fakes::FakeServices;

    fn answer(status: u16, body: &Value) -> HttpResponse {
        let body = body.to_string().into_bytes();
        HttpResponse { status, headers: Vec::new(), body, took: Duration::ZERO }
    }

    async fn set(answers: Vec<HttpResponse>) -> (Result<Vec<Variable>>, Vec<(String, String)>) {
        let memory = FakeServices::default();
        *memory.responses.lock().unwrap() = answers;
        let services: Arc<dyn Services> = Arc::new(memory.clone());
        let repository = Repository { api: "https://api".into(), name: "ada/shop".into(), token: "t".into() };
        let wanted = BTreeMap::from(
            [("A", "1"), ("B", "2"), ("C", "3")].map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        let done = repository.set(&services, &"dev".parse().unwrap(), &wanted).await;
        let sent = memory.sent.lock().unwrap();
        let sent = sent.iter().map(|(request, _)| (request.method.clone(), request.url.clone())).collect();
        (done, sent)
    }

    #[tokio::test]
    async fn only_what_differs_is_written() {
        let known = json!({ "variables": [{ "name": "A", "value": "1" }, { "name": "B", "value": "old" }] });
        let (done, sent) =
            set(vec![answer(200, &known), answer(204, &json!({})), answer(201, &json!({}))]).await;
        let words: Vec<String> = done.unwrap().into_iter().map(|variable| variable.done).collect();
        assert_eq!(words, ["unchanged", "changed", "made"]);
        let base = "https://api/repos/ada/shop/environments/dev/variables";
        let of = |method: &str, rest: &str| (method.to_owned(), format!("{base}{rest}"));
        assert_eq!(sent, [of("GET", "?per_page=30&page=1"), of("PATCH", "/B"), of("POST", "")]);
    }

    #[tokio::test]
    async fn a_missing_environment_and_a_weak_token_are_told() {
        let (done, _) = set(vec![answer(404, &json!({ "message": "Not Found" }))]).await;
        assert!(done.unwrap_err().message().starts_with("GitHub knows no environment `dev` of ada/shop"));
        let (done, _) = set(vec![answer(403, &json!({ "message": "Resource not accessible" }))]).await;
        assert_eq!(done.unwrap_err().message(), "GitHub refused: 403 Resource not accessible");
    }

    #[test]
    fn a_remote_names_its_repository() {
        for remote in
            ["git@github.com:ada/shop.git", "https://github.com/ada/shop", "ssh://git@github.com/ada/shop/"]
        {
            assert_eq!(repository_of(remote).as_deref(), Some("ada/shop"), "{remote}");
        }
        for other in ["https://gitlab.com/ada/shop", "https://github.com/ada", "https://notgithub.comx/a/b"] {
            assert_eq!(repository_of(other), None, "{other}");
        }
    }
}
