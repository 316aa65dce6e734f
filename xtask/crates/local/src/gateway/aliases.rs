//! Lambda's alias calls, with guarantees that the emulator does not give.
//!
//! In: calls that create, update, read or delete an alias, or delete a version. Out: the emulator's response, with these
//! differences: each change of an alias gives it a new RevisionId, and a change that names another RevisionId fails; an
//! alias points only to versions that exist; a version that an alias uses cannot be deleted. Changes of one function are
//! serialized. See <https://docs.aws.amazon.com/lambda/latest/api/API_UpdateAlias.html>.

use super::client_call::{ClientCall, parse_json};
use super::dead_letters::DeadLetters;
use super::function_name::{FunctionName, LATEST, is_version_number};
use super::function_urls::FunctionUrls;
use super::lambda_error::{LambdaError, json_response};
use super::locks::Locks;
use super::owner::Owner;
use super::upstream::{Upstream, run_to_completion};
use crate::http::{self, BufferedResponse};
use crate::id::request_id;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

/// The longest request or response, in bytes.
const LONGEST: usize = 8 << 20;
const REVISION: &str = "RevisionId";

/// The handler of alias calls.
pub(crate) struct Aliases {
    pub(super) upstream: Arc<Upstream>,
    /// Locks of functions, by name.
    pub(super) locks: Arc<Locks>,
    pub(super) function_urls: Arc<FunctionUrls>,
    pub(super) dead_letters: Arc<DeadLetters>,
    pub(super) revisions: Revisions,
}

/// The RevisionId of each alias. A new gateway gives all aliases new ones, because it does not know earlier changes.
pub(crate) struct Revisions {
    initial: String,
    /// A random id of the last change, by the alias's ARN.
    changes: Mutex<HashMap<String, String>>,
}

impl Revisions {
    pub(crate) fn new() -> Self {
        Self { initial: request_id(), changes: Mutex::default() }
    }

    fn record_change(&self, alias: &Value) {
        let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        changes.insert(arn(alias), request_id());
    }

    /// Replaces the emulator's RevisionId, which never changes.
    fn write_to(&self, alias: &mut Value) {
        let changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let last = changes.get(&arn(alias)).unwrap_or(&self.initial);
        let digest = hex::encode(Sha256::digest(format!("{last} {alias}")));
        let parts = [&digest[..8], &digest[8..12], &digest[12..16], &digest[16..20], &digest[20..32]];
        alias[REVISION] = parts.join("-").into();
    }
}

fn arn(alias: &Value) -> String {
    alias["AliasArn"].as_str().unwrap_or_default().to_owned()
}

/// A change of a function.
enum Operation {
    CreateAlias,
    UpdateAlias,
    /// Deletes an alias, or a function with everything that belongs to it.
    Delete,
    DeleteVersion(String),
}

/// CreateAlias.
pub(super) async fn create(
    State(aliases): State<Arc<Aliases>>,
    Path(function): Path<String>,
    request: Request,
) -> Response {
    change(aliases, &function, request, Operation::CreateAlias).await
}

/// UpdateAlias.
pub(super) async fn update(
    State(aliases): State<Arc<Aliases>>,
    Path((function, _)): Path<(String, String)>,
    request: Request,
) -> Response {
    change(aliases, &function, request, Operation::UpdateAlias).await
}

/// DeleteAlias.
pub(super) async fn delete(
    State(aliases): State<Arc<Aliases>>,
    Path((function, _)): Path<(String, String)>,
    request: Request,
) -> Response {
    change(aliases, &function, request, Operation::Delete).await
}

/// DeleteFunction, of one version or of the whole function.
pub(super) async fn delete_function(
    State(aliases): State<Arc<Aliases>>,
    Path(function): Path<String>,
    request: Request,
) -> Response {
    let pairs = http::query_pairs(request.uri().query().unwrap_or_default());
    let parameter = pairs.into_iter().find(|(name, _)| name == "Qualifier");
    let parameter = parameter.as_ref().map(|(_, version)| version.as_str());
    let operation = match FunctionName::parse(&function, parameter).map(|name| name.qualifier) {
        Ok(Some(version)) => Operation::DeleteVersion(version),
        _ => Operation::Delete,
    };
    change(aliases, &function, request, operation).await
}

/// GetAlias and ListAliases.
pub(super) async fn read(State(aliases): State<Arc<Aliases>>, request: Request) -> Response {
    let read = async {
        let (parts, body) = aliases.upstream.forward(request).await.into_parts();
        let body =
            axum::body::to_bytes(body, LONGEST).await.map_err(|_| LambdaError::unreadable_response())?;
        let response = BufferedResponse { status: parts.status, headers: parts.headers, body };
        match response.status.is_success() {
            true => aliases.response_with_revision(&response, StatusCode::OK),
            false => Err(LambdaError::Emulator(Box::new(response))),
        }
    };
    read.await.unwrap_or_else(IntoResponse::into_response)
}

async fn change(aliases: Arc<Aliases>, function: &str, request: Request, operation: Operation) -> Response {
    let Ok(name) = FunctionName::parse(function, None).map(|function| function.name) else {
        return aliases.upstream.forward(request).await;
    };
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, LONGEST).await else {
        return LambdaError::unreadable_request().into_response();
    };
    let deleted = matches!(operation, Operation::Delete).then(|| parts.clone());
    let work = async move {
        let _lock = aliases.locks.lock(&name).await;
        let call = ClientCall::new(&aliases.upstream, &parts);
        let response = match operation {
            Operation::CreateAlias => aliases.create(&call, body).await.map(Some),
            Operation::UpdateAlias => aliases.update(&call, body).await.map(Some),
            Operation::Delete => Ok(None),
            Operation::DeleteVersion(version) => check_unused(&call, &version).await.map(|()| None),
        };
        match response {
            Ok(Some(response)) => response,
            Ok(None) => {
                let response = aliases.upstream.forward(Request::from_parts(parts, Body::empty())).await;
                if let Some(parts) = deleted.filter(|_| response.status().is_success()) {
                    aliases.remove_dependents(&parts, &name).await;
                }
                response
            }
            Err(error) => error.into_response(),
        }
    };
    run_to_completion(work).await
}

impl Aliases {
    async fn create(&self, call: &ClientCall<'_>, body: Bytes) -> Result<Response, LambdaError> {
        let function = call.path.trim_end_matches("/aliases");
        check_versions_exist(call, function, &parse_json(&body)?).await?;
        let created = call.send(Method::POST, call.path, body).await?;
        self.revisions.record_change(&parse_response(&created)?);
        self.response_with_revision(&created, StatusCode::CREATED)
    }

    async fn update(&self, call: &ClientCall<'_>, body: Bytes) -> Result<Response, LambdaError> {
        let wanted = parse_json(&body)?;
        let mut current = call.get_json(call.path).await?;
        self.revisions.write_to(&mut current);
        if wanted[REVISION].as_str().is_some_and(|wanted| current[REVISION] != wanted) {
            return Err(LambdaError::new(
                StatusCode::PRECONDITION_FAILED,
                "PreconditionFailedException",
                "The RevisionId provided does not match the latest RevisionId. Call the GetAlias API to retrieve the \
                 latest RevisionId",
            ));
        }
        let function = call.path.split("/aliases/").next().unwrap_or(call.path);
        check_versions_exist(call, function, &wanted).await?;
        let updated = call.send(Method::PUT, call.path, body).await?;
        self.revisions.record_change(&current);
        self.response_with_revision(&updated, StatusCode::OK)
    }

    /// Returns the emulator's response with the gateway's RevisionIds, and with the status that Lambda has for it.
    fn response_with_revision(
        &self,
        response: &BufferedResponse,
        status: StatusCode,
    ) -> Result<Response, LambdaError> {
        let mut document = parse_response(response)?;
        match document.get_mut("Aliases").and_then(Value::as_array_mut) {
            Some(aliases) => aliases.iter_mut().for_each(|alias| self.revisions.write_to(alias)),
            None => self.revisions.write_to(&mut document),
        }
        Ok(json_response(status, &document))
    }

    /// Removes the gateway's own data of a deleted alias or function.
    async fn remove_dependents(&self, parts: &Parts, function: &str) {
        let Ok(owner) = Owner::of(self.upstream.accounts(), parts).await else {
            return;
        };
        let alias = parts.uri.path().split_once("/aliases/").map(|(_, alias)| alias.trim_end_matches('/'));
        self.function_urls.remove_of(&owner, function, alias);
        if alias.is_none() {
            self.dead_letters.remove(&owner, function);
        }
    }
}

/// Fails if an alias would point to a version that does not exist.
async fn check_versions_exist(
    call: &ClientCall<'_>,
    function: &str,
    alias: &Value,
) -> Result<(), LambdaError> {
    for version in versions_of(alias) {
        if version != LATEST && !is_version_number(&version) {
            let message = format!("`{version}` is neither `$LATEST` nor a version's number");
            return Err(LambdaError::validation(message));
        }
        let path = format!("{function}?Qualifier={}", http::encode(&version));
        call.send(Method::GET, &path, Bytes::new()).await?;
    }
    Ok(())
}

/// Fails if an alias uses a version that is to be deleted.
async fn check_unused(call: &ClientCall<'_>, version: &str) -> Result<(), LambdaError> {
    // The path may end in the version.
    let qualifiers = [format!(":{version}"), format!("%3A{version}"), format!("%3a{version}")];
    let mut stripped = qualifiers.iter().filter_map(|qualifier| call.path.strip_suffix(qualifier));
    let function = stripped.next().unwrap_or(call.path);
    let mut names = Vec::new();
    let mut marker = None;
    loop {
        let query =
            marker.map_or(String::new(), |marker: String| format!("?Marker={}", http::encode(&marker)));
        let list = call.get_json(&format!("{function}/aliases{query}")).await?;
        let aliases = list["Aliases"].as_array().into_iter().flatten();
        let using = aliases.filter(|alias| versions_of(alias).contains(version));
        names.extend(using.filter_map(|alias| alias["Name"].as_str().map(str::to_owned)));
        marker = list["NextMarker"].as_str().map(str::to_owned);
        if marker.is_none() {
            break;
        }
    }
    if names.is_empty() {
        return Ok(());
    }
    Err(LambdaError::conflict(format!(
        "Unable to delete version because the following aliases reference it: [{}]",
        names.join(", ")
    )))
}

/// Returns the versions that an alias points to.
fn versions_of(alias: &Value) -> BTreeSet<String> {
    let weights = alias["RoutingConfig"]["AdditionalVersionWeights"].as_object();
    let weighted = weights.into_iter().flatten().map(|(version, _)| version.clone());
    let main = alias["FunctionVersion"].as_str().map(str::to_owned);
    weighted.chain(main).collect()
}

fn parse_response(response: &BufferedResponse) -> Result<Value, LambdaError> {
    serde_json::from_slice(&response.body)
        .map_err(|error| LambdaError::service(format!("The emulator's response is not JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn revision_changes_with_each_change_and_never_returns() {
        let revisions = Revisions::new();
        let revision = |version: &str, arn: &str| {
            let mut alias = json!({ "AliasArn": arn, "FunctionVersion": version, "RevisionId": "constant" });
            revisions.write_to(&mut alias);
            alias[REVISION].as_str().unwrap().to_owned()
        };
        let first = revision("1", "a");
        assert_eq!(first, revision("1", "a"));
        let lengths: Vec<usize> = first.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        let other = revision("1", "b");
        revisions.record_change(&json!({ "AliasArn": "a" }));
        assert_ne!(first, revision("1", "a"));
        assert_eq!(other, revision("1", "b"));
        assert_ne!(first, revision("2", "a"));
    }

    #[test]
    fn alias_versions_include_weighted_ones() {
        let alias = json!({
            "FunctionVersion": "3",
            "RoutingConfig": { "AdditionalVersionWeights": { "4": 0.1 } },
        });
        assert_eq!(versions_of(&alias).into_iter().collect::<Vec<_>>(), ["3", "4"]);
        assert!(versions_of(&json!({ "Description": "x", "RoutingConfig": null })).is_empty());
    }
}
