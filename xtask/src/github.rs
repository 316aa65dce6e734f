//! Sets the variables of a GitHub repository's environment from the outputs of stacks; looks at the rules of environments.
//!
//! In: outputs and each stack's `[github]`. Out: which variables were created, changed or unchanged. Errors: no token, an
//! environment that does not exist, a token without permission, an output that is missing or sensitive. The API:
//! <https://docs.github.com/en/rest/actions/variables>.

mod environments;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

pub(crate) use environments::{EnvironmentRules, Wanted, trusted_jobs};

use crate::failure::{Failure, Result};
use crate::name::{EnvironmentName, StackName};
use crate::plan::Output;
use crate::ports::{HttpRequest, HttpResponse, Services};
use crate::settings::{ProcessEnvironment, StackSettings};

/// GitHub's largest page of variables.
const PAGE: usize = 30;

/// How long GitHub may take to respond.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// One variable and what was done with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "Variable")]
pub(crate) struct GithubVariable {
    /// Its name.
    pub(crate) name: String,
    /// Its value.
    pub(crate) value: String,
    /// `made`, `changed` or `unchanged`.
    pub(crate) done: String,
}

/// A repository and the token for its API.
pub(crate) struct GithubRepository {
    /// The API's address, without a slash at its end.
    api: String,
    /// `owner/name`.
    name: String,
    token: String,
}

impl GithubRepository {
    /// Finds the repository in `GITHUB_REPOSITORY` or the remote's address, and the token in `GITHUB_TOKEN` or `GH_TOKEN`.
    pub(crate) fn find(process_env: &ProcessEnvironment, remote: Option<&str>) -> Result<Self> {
        let name = process_env.get("GITHUB_REPOSITORY").map(str::to_owned);
        let name = name.or_else(|| remote.and_then(repository_of)).ok_or_else(|| {
            Failure::usage("the repository on GitHub is not known")
                .hint("set GITHUB_REPOSITORY=owner/name, or add a remote `origin` on github.com")
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

    /// Sets variables of an environment; other variables keep their values.
    pub(crate) async fn set_variables(
        &self,
        services: &Arc<dyn Services>,
        environment: &EnvironmentName,
        wanted: &BTreeMap<String, String>,
    ) -> Result<Vec<GithubVariable>> {
        let known = self.variables(services, environment).await?;
        let place = format!("repos/{}/environments/{environment}/variables", self.name);
        let mut done = Vec::new();
        for (name, value) in wanted {
            let body = json!({ "name": name, "value": value });
            let action = match known.get(name) {
                Some(current) if current == value => "unchanged",
                Some(_) => {
                    self.send(services, environment, "PATCH", &format!("{place}/{name}"), Some(&body))
                        .await?;
                    "changed"
                }
                None => {
                    self.send(services, environment, "POST", &place, Some(&body)).await?;
                    "made"
                }
            };
            done.push(GithubVariable { name: name.clone(), value: value.clone(), done: action.to_owned() });
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
            let response = self.send(services, environment, "GET", &path, None).await?;
            let document: Value = serde_json::from_slice(&response.body)
                .map_err(|error| Failure::failed("GitHub's response is not JSON").caused_by(error))?;
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

    async fn send(
        &self,
        services: &Arc<dyn Services>,
        environment: &EnvironmentName,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<HttpResponse> {
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
        let response = services.send(&request, None, TIME_LIMIT).await?;
        let message = || {
            let document: Value = serde_json::from_slice(&response.body).unwrap_or_default();
            document.get("message").and_then(Value::as_str).unwrap_or("without a reason").to_owned()
        };
        match response.status {
            200..=299 => Ok(response),
            404 => Err(Failure::failed(format!(
                "GitHub has no environment `{environment}` of {}, or this token may not read it",
                self.name
            ))
            .hint("create it under Settings -> Environments; the token needs read and write access to environments")),
            status => Err(Failure::failed(format!("GitHub refused the request: {status} {}", message()))
                .hint("the token needs read and write access to the repository's environments")),
        }
    }
}

fn header(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// Returns the value of each variable that the stacks' `[github]` names, from their outputs.
pub(crate) fn wanted_variables(
    environment: &EnvironmentName,
    stacks: &BTreeMap<StackName, StackSettings>,
    outputs: &BTreeMap<StackName, BTreeMap<String, Output>>,
) -> Result<BTreeMap<String, String>> {
    let mut wanted = BTreeMap::new();
    for (stack, outputs) in outputs {
        let Some(settings) = stacks.get(stack) else { continue };
        for (variable, name) in &settings.github {
            let output = outputs.get(name).ok_or_else(|| {
                Failure::usage(format!(
                    "terraform/stacks/{stack}/stack.toml: [github] names `{name}`, which is no output in {environment}"
                ))
                .unchanged("Nothing was set.")
            })?;
            if output.sensitive {
                return Err(Failure::refused(format!(
                    "the output `{name}` of {stack} is sensitive, and a variable on GitHub is readable by everybody"
                ))
                .unchanged("Nothing was set.")
                .hint("create a secret of the environment on GitHub by hand"));
            }
            let value = output.value.as_str().map_or_else(|| output.value.to_string(), str::to_owned);
            if wanted.insert(variable.clone(), value).is_some() {
                return Err(Failure::usage(format!("two stacks set `{variable}` on GitHub"))
                    .unchanged("Nothing was set."));
            }
        }
    }
    if wanted.is_empty() {
        return Err(Failure::usage("no stack names variables for GitHub")
            .hint("add [github] to a stack.toml, as in API_BASE_URL = \"api_url\""));
    }
    Ok(wanted)
}

/// Returns `owner/name` of a remote's address on github.com.
pub(crate) fn repository_of(remote: &str) -> Option<String> {
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

    async fn set(answers: Vec<HttpResponse>) -> (Result<Vec<GithubVariable>>, Vec<(String, String)>) {
        let fake = FakeServices::default();
        *fake.responses.lock().unwrap() = answers;
        let services: Arc<dyn Services> = Arc::new(fake.clone());
        let repository =
            GithubRepository { api: "https://api".into(), name: "ada/shop".into(), token: "t".into() };
        let wanted = BTreeMap::from(
            [("A", "1"), ("B", "2"), ("C", "3")].map(|(name, value)| (name.to_owned(), value.to_owned())),
        );
        let done = repository.set_variables(&services, &"dev".parse().unwrap(), &wanted).await;
        let sent = fake.sent.lock().unwrap();
        let sent = sent.iter().map(|(request, _)| (request.method.clone(), request.url.clone())).collect();
        (done, sent)
    }

    #[tokio::test]
    async fn only_variables_that_differ_are_written() {
        let known = json!({ "variables": [{ "name": "A", "value": "1" }, { "name": "B", "value": "old" }] });
        let (done, sent) =
            set(vec![answer(200, &known), answer(204, &json!({})), answer(201, &json!({}))]).await;
        let actions: Vec<String> = done.unwrap().into_iter().map(|variable| variable.done).collect();
        assert_eq!(actions, ["unchanged", "changed", "made"]);
        let base = "https://api/repos/ada/shop/environments/dev/variables";
        let of = |method: &str, rest: &str| (method.to_owned(), format!("{base}{rest}"));
        assert_eq!(sent, [of("GET", "?per_page=30&page=1"), of("PATCH", "/B"), of("POST", "")]);
    }

    #[tokio::test]
    async fn missing_environment_and_missing_permission_are_failures() {
        let (done, _) = set(vec![answer(404, &json!({ "message": "Not Found" }))]).await;
        assert!(done.unwrap_err().message().starts_with("GitHub has no environment `dev` of ada/shop"));
        let (done, _) = set(vec![answer(403, &json!({ "message": "Resource not accessible" }))]).await;
        assert_eq!(done.unwrap_err().message(), "GitHub refused the request: 403 Resource not accessible");
    }

    #[test]
    fn variables_come_from_outputs_that_are_neither_missing_nor_sensitive() {
        let output = |value: Value, sensitive| Output { value, sensitive };
        let wanted = |github: &[(&str, &str)]| {
            let github = github.iter().map(|(name, output)| ((*name).to_owned(), (*output).to_owned()));
            let settings = StackSettings { github: github.collect(), ..StackSettings::default() };
            let outputs = BTreeMap::from([
                ("url".to_owned(), output("https://api".into(), false)),
                ("ids".to_owned(), output(json!(["a"]), false)),
                ("key".to_owned(), output(Value::Null, true)),
            ]);
            let stack: StackName = "api".parse().unwrap();
            let stacks = BTreeMap::from([(stack.clone(), settings)]);
            wanted_variables(&"dev".parse().unwrap(), &stacks, &BTreeMap::from([(stack, outputs)]))
        };
        let message = |github| wanted(github).unwrap_err().message().to_owned();
        assert_eq!(
            wanted(&[("API_URL", "url"), ("IDS", "ids")]).unwrap(),
            [("API_URL", "https://api"), ("IDS", "[\"a\"]")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into()
        );
        assert!(
            message(&[("API_URL", "other")]).ends_with("[github] names `other`, which is no output in dev")
        );
        assert!(message(&[("KEY", "key")]).starts_with("the output `key` of api is sensitive"));
        assert_eq!(message(&[]), "no stack names variables for GitHub");
    }

    #[test]
    fn remote_on_github_names_its_repository() {
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
