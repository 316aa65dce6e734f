//! Docker's credential file, `config.json`.
//!
//! In: the file, and the caller's way to run `docker-credential-<name> get`. Out: the login for a host, from the host's
//! helper (`credHelpers`), the default helper (`credsStore`) or the file itself (`auths`); anonymous where none of them
//! has the host. Errors: the file cannot be read or is not JSON, a helper is missing or fails. No error contains a value
//! of the file.
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
use crate::error::{CloudError, CloudErrorKind};

/// Runs the program in the first text with the argument `get`, and with the second text as its standard input.
pub type CredentialHelper =
    Arc<dyn Fn(String, String) -> BoxFuture<'static, std::io::Result<HelperOutput>> + Send + Sync>;

/// How a credential helper ended.
#[derive(Clone)]
pub struct HelperOutput {
    /// Whether its exit code was 0.
    pub success: bool,
    /// Its standard output.
    pub stdout: Vec<u8>,
}

/// The logins of a Docker configuration.
pub struct DockerCredentials {
    path: String,
    auths: BTreeMap<String, Login>,
    helpers: BTreeMap<String, String>,
    store: Option<String>,
    helper: Option<CredentialHelper>,
}

/// The name of Docker Hub in these files.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

impl DockerCredentials {
    /// Reads a `config.json`; a missing file has no logins. Without a way to run helpers, a host that needs one is an
    /// error.
    ///
    /// # Errors
    /// [`CloudErrorKind::File`] names the file and the part of it that is wrong.
    pub fn read(path: &Path, helper: Option<CredentialHelper>) -> Result<Self, CloudError> {
        let text = match std::fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => b"{}".to_vec(),
            Err(error) => return Err(unusable(path, &error.to_string())),
        };
        let value: Value = serde_json::from_slice(&text)
            .map_err(|error| unusable(path, &format!("line {} is not JSON", error.line())))?;
        let mut auths = BTreeMap::new();
        for (server, entry) in value["auths"].as_object().into_iter().flatten() {
            let login = login_of(entry).map_err(|why| unusable(path, &format!("`{server}`: {why}")))?;
            auths.extend(login.map(|login| (host_of(server), login)));
        }
        let helpers = value["credHelpers"].as_object().into_iter().flatten();
        let helpers = helpers.filter_map(|(server, name)| Some((host_of(server), name.as_str()?.to_owned())));
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
            CloudError::new(CloudErrorKind::CredentialsMissing, "registry", "login", host, message)
        };
        let Some(helper) = &self.helper else {
            return Err(failed("cannot be run from here"));
        };
        let server = if is_docker_hub(host) { DOCKER_HUB } else { host };
        let output = helper(program.clone(), server.to_owned()).await;
        let output = output.map_err(|error| failed(&format!("cannot be run: {error}")))?;
        if !output.success {
            // This text is part of the helpers' protocol: it says that the helper has no login for the host.
            let message = String::from_utf8_lossy(&output.stdout).to_lowercase();
            return if message.contains("credentials not found") { Ok(None) } else { Err(failed("failed")) };
        }
        let value: Value = serde_json::from_slice(&output.stdout).map_err(|_| failed("printed no JSON"))?;
        match (value["Username"].as_str(), value["Secret"].as_str()) {
            (Some("<token>"), Some(secret)) => Ok(Some(Login::IdentityToken(secret.to_owned()))),
            (Some(username), Some(secret)) => {
                Ok(Some(Login::Basic { username: username.to_owned(), password: secret.to_owned() }))
            }
            _ => Err(failed("printed neither name nor secret")),
        }
    }
}

#[async_trait]
impl RegistryCredentials for DockerCredentials {
    async fn login(&self, host: &str, _: bool) -> Result<Login, CloudError> {
        let server = if is_docker_hub(host) { host_of(DOCKER_HUB) } else { host.to_owned() };
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

/// Returns whether a host is one of the names of Docker Hub.
pub(super) fn is_docker_hub(host: &str) -> bool {
    ["docker.io", "index.docker.io", "registry-1.docker.io"].contains(&host)
}

/// Returns the host of a key, which is a host or, in old files, a URL.
fn host_of(server: &str) -> String {
    let rest = server.split_once("://").map_or(server, |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default().to_owned()
}

fn login_of(entry: &Value) -> Result<Option<Login>, &'static str> {
    if let Some(token) = entry["identitytoken"].as_str().filter(|token| !token.is_empty()) {
        return Ok(Some(Login::IdentityToken(token.to_owned())));
    }
    if let Some(auth) = entry["auth"].as_str().filter(|auth| !auth.is_empty()) {
        let text = BASE64.decode(auth).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let text = text.ok_or("`auth` is not base64 of `name:password`")?;
        let (username, password) = text.split_once(':').ok_or("`auth` has no `name:password`")?;
        let password = password.trim_end_matches('\0').to_owned();
        return Ok(Some(Login::Basic { username: username.to_owned(), password }));
    }
    match (entry["username"].as_str(), entry["password"].as_str()) {
        (Some(username), Some(password)) => {
            Ok(Some(Login::Basic { username: username.to_owned(), password: password.to_owned() }))
        }
        // A helper has the credentials; the entry only records that somebody logged in.
        _ => Ok(None),
    }
}

fn unusable(path: &Path, why: &str) -> CloudError {
    let path = path.display().to_string();
    let message = format!("Docker's credential file `{path}` cannot be used: {why}");
    CloudError::new(CloudErrorKind::File, "registry", "login", path, message)
}
