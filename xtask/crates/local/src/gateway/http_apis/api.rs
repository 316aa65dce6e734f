//! HTTP APIs as the emulator's API Gateway has them: stages, routes, integrations.
//!
//! In: an API's id. Out: the API, read again after it may have changed. The emulator stores APIs by account, but a request
//! to an API names no account; so the owner is recorded when an API is created. Errors: there is no such API, or the
//! emulator does not respond.

use super::routes::Route;
use crate::emulator::EmulatorError;
use crate::gateway::accounts::Accounts;
use crate::gateway::cors::CorsRules;
use crate::gateway::lambda_error::LambdaError;
use crate::gateway::persistence::PersistentMap;
use crate::gateway::scope::CredentialScope;
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long an API is cached. A change through this gateway ends it at once.
const CACHED_FOR: Duration = Duration::from_secs(2);
/// The longest time limit of an integration, which is also the default, in milliseconds.
const LONGEST_TIME: u64 = 30_000;
/// The longest response of the emulator, in bytes.
const LONGEST: usize = 8 << 20;

/// One API.
pub(super) struct Api {
    pub(super) account: String,
    pub(super) region: String,
    pub(super) cors: Option<CorsRules>,
    pub(super) stages: Vec<Stage>,
    pub(super) routes: Vec<Route>,
    /// By id.
    pub(super) integrations: HashMap<String, Integration>,
}

pub(super) struct Stage {
    pub(super) name: String,
    pub(super) variables: Map<String, Value>,
}

pub(super) struct Integration {
    pub(super) integration_type: String,
    pub(super) uri: String,
    pub(super) payload_format: String,
    pub(super) time_limit: Duration,
}

/// The owner of an API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct ApiOwner {
    account: String,
    region: String,
}

type Cache = HashMap<String, (Instant, Arc<Api>)>;

/// The owners of all APIs, and the APIs that were read recently.
pub(super) struct ApiStore {
    accounts: Arc<Accounts>,
    /// By id.
    owners: PersistentMap<ApiOwner>,
    cache: Mutex<Cache>,
}

impl ApiStore {
    /// Reads the owners of the APIs that an earlier gateway recorded.
    pub(super) fn open(folder: PathBuf, accounts: Arc<Accounts>) -> io::Result<Self> {
        Ok(Self { accounts, owners: PersistentMap::open(folder)?, cache: Mutex::default() })
    }

    /// Returns an API, from the cache or from the emulator.
    ///
    /// An API that was not created through this gateway is looked up in the account of the request's signature.
    pub(super) async fn find(
        &self,
        id: &str,
        signed_by: Option<CredentialScope>,
    ) -> Result<Option<Arc<Api>>, EmulatorError> {
        // The id becomes a part of paths, also of a file's.
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Ok(None);
        }
        if let Some((read_at, api)) = self.cache().get(id)
            && read_at.elapsed() < CACHED_FOR
        {
            return Ok(Some(Arc::clone(api)));
        }
        let owner = match (self.owners.get(id), signed_by) {
            (Some(owner), _) => owner,
            (None, Some(scope)) => ApiOwner {
                account: self.accounts.identity(&scope.access_key_id).await?.account,
                region: scope.region,
            },
            (None, None) => return Ok(None),
        };
        match self.read(id, owner).await {
            Ok(api) => {
                let api = Arc::new(api);
                self.cache().insert(id.to_owned(), (Instant::now(), Arc::clone(&api)));
                Ok(Some(api))
            }
            Err(EmulatorError::ErrorResponse { status: StatusCode::NOT_FOUND, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Records that an API was changed or deleted.
    pub(super) fn record_change(&self, id: &str, deleted: bool) {
        self.cache().remove(id);
        if deleted {
            self.owners.remove(id);
        }
    }

    /// Records the owner of a created API, and returns the emulator's response.
    pub(super) async fn record_owner(&self, scope: &CredentialScope, response: Response) -> Response {
        let (parts, body) = response.into_parts();
        let Ok(body) = axum::body::to_bytes(body, LONGEST).await else {
            return LambdaError::unreadable_response().into_response();
        };
        let created: Value = serde_json::from_slice(&body).unwrap_or_default();
        let identity = self.accounts.identity(&scope.access_key_id).await;
        if let (Some(id), Ok(identity)) = (created["apiId"].as_str(), identity) {
            let owner = ApiOwner { account: identity.account, region: scope.region.clone() };
            if let Err(error) = self.owners.put(id, owner) {
                let message = format!("the owner of the API {id} cannot be stored: {error}");
                return LambdaError::service(message).into_response();
            }
        }
        Response::from_parts(parts, Body::from(body))
    }

    async fn read(&self, id: &str, owner: ApiOwner) -> Result<Api, EmulatorError> {
        let caller = self.accounts.own_caller(&owner.account, &owner.region).await?;
        let base = format!("/v2/apis/{id}");
        let path = |part: &str| format!("{base}/{part}");
        let (routes, integrations, stages) = (path("routes"), path("integrations"), path("stages"));
        let (api, routes, integrations, stages) = tokio::try_join!(
            caller.get_json("apigateway", "GetApi", &base),
            caller.get_json("apigateway", "GetRoutes", &routes),
            caller.get_json("apigateway", "GetIntegrations", &integrations),
            caller.get_json("apigateway", "GetStages", &stages),
        )?;
        let items = |list: &Value| list["items"].as_array().cloned().unwrap_or_default();
        Ok(Api {
            account: owner.account,
            region: owner.region,
            cors: CorsRules::read(&api["corsConfiguration"]),
            stages: items(&stages).iter().map(read_stage).collect(),
            routes: items(&routes).iter().map(Route::read).collect(),
            integrations: items(&integrations).iter().map(read_integration).collect(),
        })
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Api {
    /// Returns the stage of a path, and the rest of the path. The stage `$default` has no prefix.
    pub(super) fn stage<'a>(&self, path: &'a str) -> Option<(&Stage, &'a str)> {
        let rest = path.strip_prefix('/').unwrap_or(path);
        let end = rest.find('/').unwrap_or(rest.len());
        let (first, left) = rest.split_at(end);
        let named = |name: &str| self.stages.iter().find(|stage| stage.name == name);
        match named(first).filter(|_| !first.is_empty()) {
            Some(stage) => Some((stage, if left.is_empty() { "/" } else { left })),
            None => named("$default").map(|stage| (stage, path)),
        }
    }
}

fn read_stage(stage: &Value) -> Stage {
    Stage {
        name: text(stage, "stageName"),
        variables: stage["stageVariables"].as_object().cloned().unwrap_or_default(),
    }
}

/// Returns the id of an integration and the integration.
fn read_integration(integration: &Value) -> (String, Integration) {
    let format = text(integration, "payloadFormatVersion");
    let milliseconds = integration["timeoutInMillis"].as_u64().unwrap_or(LONGEST_TIME);
    let read = Integration {
        integration_type: text(integration, "integrationType"),
        uri: text(integration, "integrationUri"),
        payload_format: if format.is_empty() { "1.0".to_owned() } else { format },
        time_limit: Duration::from_millis(milliseconds.clamp(50, LONGEST_TIME)),
    };
    (text(integration, "integrationId"), read)
}

fn text(object: &Value, name: &str) -> String {
    object[name].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stage_is_the_first_part_of_the_path_except_the_default_one() {
        let stage = |name: &str| Stage { name: name.to_owned(), variables: Map::new() };
        let api = |names: &[&str]| Api {
            account: String::new(),
            region: String::new(),
            cors: None,
            stages: names.iter().map(|name| stage(name)).collect(),
            routes: Vec::new(),
            integrations: HashMap::new(),
        };
        let found = |names: &[&str], path: &str| {
            api(names).stage(path).map(|(stage, rest)| (stage.name.clone(), rest.to_owned()))
        };
        let is = |name: &str, rest: &str| Some((name.to_owned(), rest.to_owned()));
        assert_eq!(found(&["$default", "v1"], "/v1/x"), is("v1", "/x"));
        assert_eq!(found(&["$default", "v1"], "/v1"), is("v1", "/"));
        assert_eq!(found(&["$default", "v1"], "/v2/x"), is("$default", "/v2/x"));
        assert_eq!(found(&["$default"], "/"), is("$default", "/"));
        assert_eq!(found(&["v1"], "/x"), None);
    }
}
