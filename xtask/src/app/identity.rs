//! The token of the CI system that runs this process: from a variable, a file, or GitHub's own address for it.
//!
//! In: SLIPWAY_ID_TOKEN, SLIPWAY_ID_TOKEN_FILE, or ACTIONS_ID_TOKEN_REQUEST_URL with its token. Out: the verified identity, or
//! nothing where none of them is set. These variables bring a token and no trust: `crate::identity` asks the issuer's keys.

use std::time::Duration;

use async_trait::async_trait;
use slipway_cloud::{Credentials, SessionConfig};

use super::AppContext;
use super::ports::AccountServices;
use crate::failure::{Failure, Result};
use crate::identity::{self, RunIdentity, VerifiedIdentity};
use crate::ports::{HttpRequest, Services};
use crate::settings::BuilderKind;

/// The variable with a token.
const TOKEN: &str = "SLIPWAY_ID_TOKEN";
/// The variable with the path of a file that has a token.
const TOKEN_FILE: &str = "SLIPWAY_ID_TOKEN_FILE";
/// GitHub's variables: where a job gets a token, and what it shows there.
const REQUEST_URL: &str = "ACTIONS_ID_TOKEN_REQUEST_URL";
const REQUEST_TOKEN: &str = "ACTIONS_ID_TOKEN_REQUEST_TOKEN";

/// How long GitHub may take to respond.
const TIME_LIMIT: Duration = Duration::from_secs(20);

/// The identity of this process's CI run.
pub(crate) struct ProcessIdentity<'a> {
    app: &'a AppContext,
    /// Whether what is built is for the local environment alone.
    emulated: bool,
}

#[async_trait]
impl RunIdentity for ProcessIdentity<'_> {
    async fn verified(&self) -> Result<Option<VerifiedIdentity>> {
        let app = self.app;
        // Requests that are not signed: this session has no credentials.
        let config = SessionConfig {
            region: "us-east-1".into(),
            credentials: Credentials::Static {
                access_key_id: "none".into(),
                secret_access_key: "none".into(),
                session_token: None,
            },
            assume_role: None,
            endpoint: None,
            lambda_endpoint: None,
        };
        let services = AccountServices(app.session(config).await?, app.console.clone());
        let Some(token) = app.token(&services).await? else { return Ok(None) };
        let builders = &app.project.settings.builders;
        identity::verify(&token, builders, self.emulated, &services, app.clock.real_time()).await.map(Some)
    }
}

impl AppContext {
    /// Returns the identity of this process's CI run; with `emulated`, what is built is for the local environment alone.
    pub(crate) fn run_identity(&self, emulated: bool) -> ProcessIdentity<'_> {
        ProcessIdentity { app: self, emulated }
    }

    async fn token(&self, services: &dyn Services) -> Result<Option<String>> {
        if let Some(token) = self.process_env.get(TOKEN) {
            return Ok(Some(token.to_owned()));
        }
        if let Some(file) = self.process_env.get(TOKEN_FILE) {
            let file = self.process_env.folder.join(file);
            return std::fs::read_to_string(&file).map(Some).map_err(|error| {
                Failure::usage(format!("{TOKEN_FILE} names {}, which cannot be read", file.display()))
                    .caused_by(error)
                    .unchanged("Nothing was built, published or deployed.")
            });
        }
        let (Some(url), Some(shown)) =
            (self.process_env.get(REQUEST_URL), self.process_env.get(REQUEST_TOKEN))
        else {
            return Ok(None);
        };
        let builders = self.project.settings.builders.values();
        let mut audience =
            builders.filter(|builder| builder.kind == BuilderKind::Github).map(|builder| &builder.audience);
        let audience = audience.next_back().map_or("slipway", String::as_str);
        let failed = |why: String| {
            Failure::failed(format!("GitHub gave no token: {why}"))
                .unchanged("Nothing was built, published or deployed.")
                .hint("run the job again; without `permissions: id-token: write` it is not asked for one, and the release is unverified")
        };
        let mut address = url::Url::parse(url).map_err(|error| failed(error.to_string()))?;
        address.query_pairs_mut().append_pair("audience", audience);
        let request = HttpRequest {
            method: "GET".into(),
            url: address.to_string(),
            headers: vec![
                ("accept".to_owned(), "application/json".to_owned()),
                ("authorization".to_owned(), format!("Bearer {shown}")),
                ("user-agent".to_owned(), "slipway".to_owned()),
            ],
            body: Vec::new(),
        };
        let response = services.send(&request, None, TIME_LIMIT).await?;
        if response.status != 200 {
            return Err(failed(format!("HTTP status {}", response.status)));
        }
        let document: serde_json::Value =
            serde_json::from_slice(&response.body).map_err(|error| failed(error.to_string()))?;
        let token = document.get("value").and_then(serde_json::Value::as_str);
        token.map(|token| Some(token.to_owned())).ok_or_else(|| failed("its response has none".into()))
    }
}
