//! An HTTP API as the emulator has it: stages, routes, integrations.
//!
//! In: an API's id. Out: the API, read anew once it may have changed. The emulator keeps APIs by account, and a request
//! to an API names none: which account an API is of is noted down when it is made. What can go wrong: there is no such
//! API, or the emulator does not answer.

use super::routes::Route;
use crate::emulator::EmulatorError;
use crate::gateway::Gateway;
use crate::gateway::cors::Rules;
use crate::gateway::kept::Kept;
use crate::gateway::scope::Scope;
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

/// How long a reading holds; changes that come by way of this gateway end it at once.
const FRESH: Duration = Duration::from_secs(2);
/// The longest and default time of an integration.
const LONGEST_TIME: u64 = 30_000;
const LONGEST: usize = 8 << 20;

/// One API.
pub(super) struct Api {
    pub(super) account: String,
    pub(super) region: String,
    pub(super) cors: Option<Rules>,
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
    pub(super) kind: String,
    pub(super) uri: String,
    /// The payload's.
    pub(super) format: String,
    pub(super) within: Duration,
}

/// Whose an API is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Owner {
    account: String,
    region: String,
}

/// All APIs that were made, and what was read of them lately.
pub(crate) struct Apis {
    owners: Kept<Owner>,
    read: Mutex<HashMap<String, (Instant, Arc<Api>)>>,
}

impl Apis {
    /// Reads whose APIs there are.
    pub(crate) fn open(folder: PathBuf) -> io::Result<Self> {
        Ok(Self { owners: Kept::open(folder)?, read: Mutex::default() })
    }

    /// Takes note that an API has changed, or is gone.
    pub(super) fn changed(&self, id: &str, gone: bool) {
        self.lock().remove(id);
        if gone {
            self.owners.remove(id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, (Instant, Arc<Api>)>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Api {
    /// Finds the stage of a path, and what is left of the path: `$default` has no prefix.
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

/// Finds an API, as it was read lately or as it is now.
pub(super) async fn find(
    gateway: &Gateway,
    id: &str,
    signed_by: Option<Scope>,
) -> Result<Option<Arc<Api>>, EmulatorError> {
    // An id is a part of paths, also of a file's.
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Ok(None);
    }
    if let Some((read, api)) = gateway.apis.lock().get(id)
        && read.elapsed() < FRESH
    {
        return Ok(Some(Arc::clone(api)));
    }
    let owner = match gateway.apis.owners.get(id) {
        Some(owner) => owner,
        // Made by another way than this gateway; whoever signs is likely to be of its account.
        None => match signed_by {
            Some(scope) => Owner {
                account: gateway.accounts.identity(&scope.access_key_id).await?.account,
                region: scope.region,
            },
            None => return Ok(None),
        },
    };
    match read(gateway, id, owner).await {
        Ok(api) => {
            let api = Arc::new(api);
            gateway.apis.lock().insert(id.to_owned(), (Instant::now(), Arc::clone(&api)));
            Ok(Some(api))
        }
        Err(EmulatorError::Refused { status: StatusCode::NOT_FOUND, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Notes down whose the API is that an answer tells of.
pub(super) async fn made(gateway: &Gateway, scope: &Scope, answer: Response) -> Response {
    let (parts, body) = answer.into_parts();
    let Ok(body) = axum::body::to_bytes(body, LONGEST).await else {
        return crate::gateway::refusal::Refusal::service("The emulator's answer broke off").into_response();
    };
    let told: Value = serde_json::from_slice(&body).unwrap_or_default();
    let owner = gateway.accounts.identity(&scope.access_key_id).await;
    if let (Some(id), Ok(identity)) = (told["apiId"].as_str(), owner) {
        let owner = Owner { account: identity.account, region: scope.region.clone() };
        if let Err(error) = gateway.apis.owners.put(id, owner) {
            let message = format!("whose the API {id} is cannot be noted down: {error}");
            return crate::gateway::refusal::Refusal::service(message).into_response();
        }
    }
    Response::from_parts(parts, Body::from(body))
}

async fn read(gateway: &Gateway, id: &str, owner: Owner) -> Result<Api, EmulatorError> {
    let caller = gateway.accounts.own(&owner.account, &owner.region).await?;
    let base = format!("/v2/apis/{id}");
    let path = |part: &str| format!("{base}/{part}");
    let (routes, integrations, stages) = (path("routes"), path("integrations"), path("stages"));
    let (api, routes, integrations, stages) = tokio::try_join!(
        caller.read("apigateway", "GetApi", &base),
        caller.read("apigateway", "GetRoutes", &routes),
        caller.read("apigateway", "GetIntegrations", &integrations),
        caller.read("apigateway", "GetStages", &stages),
    )?;
    let items = |list: &Value| list["items"].as_array().cloned().unwrap_or_default();
    Ok(Api {
        account: owner.account,
        region: owner.region,
        cors: Rules::read(&api["corsConfiguration"]),
        stages: items(&stages).iter().map(stage).collect(),
        routes: items(&routes).iter().map(Route::read).collect(),
        integrations: items(&integrations).iter().map(integration).collect(),
    })
}

fn stage(told: &Value) -> Stage {
    Stage {
        name: text(told, "stageName"),
        variables: told["stageVariables"].as_object().cloned().unwrap_or_default(),
    }
}

fn integration(told: &Value) -> (String, Integration) {
    let format = text(told, "payloadFormatVersion");
    let integration = Integration {
        kind: text(told, "integrationType"),
        uri: text(told, "integrationUri"),
        format: if format.is_empty() { "1.0".to_owned() } else { format },
        within: Duration::from_millis(
            told["timeoutInMillis"].as_u64().unwrap_or(LONGEST_TIME).clamp(50, LONGEST_TIME),
        ),
    };
    (text(told, "integrationId"), integration)
}

fn text(told: &Value, name: &str) -> String {
    told[name].as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_the_first_part_of_a_path_unless_it_is_the_default_one() {
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
