//! Docker's credential file, `config.json`.
//!
//! In: the file, and a way to run `docker-credential-<name> get`, which is the caller's. Out: the login for a
//! host: its own helper's (`credHelpers`), the common helper's (`credsStore`), or what the file holds (`auths`);
//! anonymous where none of them knows the host. What can go wrong: the file is not readable or no JSON, a helper
//! is missing or fails. Values of the file never appear in an error.
//!
//! <https://docs.docker.com/reference/cli/docker/login/#credential-stores>

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures::future::BoxFuture;
use serde_json::Value;

use super::credentials::{Login, RegistryCredentials};
use crate::error::{CloudError, Kind};

/// Runs the program named first with the argument `get` and the second text on its standard input.
pub type CredentialHelper =
    Arc<dyn Fn(String, String) -> BoxFuture<'static, std::io::Result<HelperOutput>> + Send + Sync>;

/// How a credential helper ended.
#[derive(Clone)]
pub struct HelperOutput {
    /// Whether its exit code was 0.
    pub success: bool,
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
}

/// The logins of a docker configuration.
pub struct DockerCredentials {
    path: String,
    auths: BTreeMap<String, Login>,
    helpers: BTreeMap<String, String>,
    store: Option<String>,
    helper: Option<CredentialHelper>,
}

/// How Docker's own registry is called in these files.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

impl DockerCredentials {
    /// Reads a `config.json`; one that does not exist knows nobody. Without a way to run helpers, a host that
    /// needs one is an error.
    ///
    /// # Errors
    /// [`Kind::File`] names the file, and what in it can't be understood.
    pub fn read(path: &Path, helper: Option<CredentialHelper>) -> Result<Self, CloudError> {
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => b"{}".to_vec(),
            Err(error) => return Err(unusable(path, &error.to_string())),
        };
        let value: Value = serde_json::from_slice(&text)
            .map_err(|error| unusable(path, &format!("no JSON at line {}", error.line())))?;
        let mut auths = BTreeMap::new();
        for (server, entry) in value["auths"].as_object().into_iter().flatten() {
            let login = login_of(entry).map_err(|why| unusable(path, &format!("`{server}`: {why}")))?;
            auths.extend(login.map(|login| (bare(server), login)));
        }
        let helpers = value["credHelpers"].as_object().into_iter().flatten();
        let helpers = helpers.filter_map(|(server, name)| Some((bare(server), name.as_str()?.to_owned())));
        Ok(Self {
            path: path.display().to_string(),
            auths,
            helpers: helpers.collect(),
            store: value["credsStore"].as_str().filter(|name| !name.is_empty()).map(str::to_owned),
            helper,
        })
    }

    async fn ask(&self, name: &str, host: &str) -> Result<Option<Login>, CloudError> {
        let program = format!("docker-credential-{name}");
        let failed = |why: &str| {
            let message =
                format!("no credentials for `{host}`: {program}, which `{}` names, {why}", self.path);
            CloudError::new(Kind::CredentialsMissing, "registry", "login", host, message)
        };
        let Some(helper) = &self.helper else {
            return Err(failed("can't be run from here"));
        };
        let server = if is_docker_hub(host) { DOCKER_HUB } else { host };
        let output = helper(program.clone(), server.to_owned()).await;
        let output = output.map_err(|error| failed(&format!("can't be run: {error}")))?;
        if !output.success {
            // The one failure that is an answer; the words are part of the helpers' protocol.
            let said = String::from_utf8_lossy(&output.stdout).to_lowercase();
            return if said.contains("credentials not found") { Ok(None) } else { Err(failed("failed")) };
        }
        let value: Value = serde_json::from_slice(&output.stdout).map_err(|_| failed("answered no JSON"))?;
        match (value["Username"].as_str(), value["Secret"].as_str()) {
            (Some("<token>"), Some(secret)) => Ok(Some(Login::IdentityToken(secret.to_owned()))),
            (Some(username), Some(secret)) => {
                Ok(Some(Login::Basic { username: username.to_owned(), password: secret.to_owned() }))
            }
            _ => Err(failed("answered neither name nor secret")),
        }
    }
}

#[async_trait]
impl RegistryCredentials for DockerCredentials {
    async fn login(&self, host: &str, _: bool) -> Result<Login, CloudError> {
        let server = if is_docker_hub(host) { bare(DOCKER_HUB) } else { host.to_owned() };
        let own = self.helpers.get(&server).or_else(|| self.helpers.get(host));
        let helper = own.or(self.store.as_ref());
        let helped = match helper {
            Some(name) => self.ask(name, host).await?,
            None => None,
        };
        Ok(helped.or_else(|| self.auths.get(&server).cloned()).unwrap_or(Login::Anonymous))
    }
}

impl std::fmt::Debug for DockerCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DockerCredentials").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Tells whether a host is one of the names of Docker's own registry.
pub(super) fn is_docker_hub(host: &str) -> bool {
    ["docker.io", "index.docker.io", "registry-1.docker.io"].contains(&host)
}

/// Keys are hosts, or URLs from the time of the first protocol.
fn bare(server: &str) -> String {
    let rest = server.split_once("://").map_or(server, |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default().to_owned()
}

fn login_of(entry: &Value) -> Result<Option<Login>, &'static str> {
    if let Some(token) = entry["identitytoken"].as_str().filter(|token| !token.is_empty()) {
        return Ok(Some(Login::IdentityToken(token.to_owned())));
    }
    if let Some(auth) = entry["auth"].as_str().filter(|auth| !auth.is_empty()) {
        let text = BASE64.decode(auth).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let text = text.ok_or("`auth` is no base64 of `name:password`")?;
        let (username, password) = text.split_once(':').ok_or("`auth` holds no `name:password`")?;
        let password = password.trim_end_matches('\0').to_owned();
        return Ok(Some(Login::Basic { username: username.to_owned(), password }));
    }
    match (entry["username"].as_str(), entry["password"].as_str()) {
        (Some(username), Some(password)) => {
            Ok(Some(Login::Basic { username: username.to_owned(), password: password.to_owned() }))
        }
        // The credentials are a helper's; the entry only says that somebody logged in.
        _ => Ok(None),
    }
}

fn unusable(path: &Path, why: &str) -> CloudError {
    let path = path.display().to_string();
    let message = format!("docker's credential file `{path}` can't be used: {why}");
    CloudError::new(Kind::File, "registry", "login", path, message)
}
