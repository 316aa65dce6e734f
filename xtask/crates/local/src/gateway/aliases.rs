//! Lambda's aliases where the emulator is not as strict as Lambda.
//!
//! In: calls that make, move, read or delete an alias, or delete a version. Out: the emulator's answer, with these
//! differences: an alias gets a new RevisionId with each change, and a change that names another one is refused; it
//! points only to versions that exist; a version that an alias uses stays. Calls for one function that change
//! something come one after the other. See <https://docs.aws.amazon.com/lambda/latest/api/API_UpdateAlias.html>.

use super::forward::{pass, to_the_end};
use super::function_urls::{self, Owner};
use super::functions::FunctionName;
use super::id::request_id;
use super::refusal::Refusal;
use super::{Gateway, Shared, dead_letters};
use crate::http::{self, Answer};
use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const LONGEST: usize = 8 << 20;
const WITHIN: Duration = Duration::from_secs(30);
const REVISION: &str = "RevisionId";

/// The last change of each alias, by its ARN. A gateway knows its own changes only; a new one gives new revisions.
pub(crate) struct Revisions {
    first: String,
    changed: Mutex<HashMap<String, String>>,
}

impl Revisions {
    pub(crate) fn new() -> Self {
        Self { first: request_id(), changed: Mutex::default() }
    }

    fn change(&self, alias: &Value) {
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        changed.insert(arn(alias), request_id());
    }

    /// Writes our RevisionId over the emulator's, which stays the same for an alias's life.
    fn mark(&self, alias: &mut Value) {
        let changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        let last = changed.get(&arn(alias)).unwrap_or(&self.first);
        let digest = hex::encode(Sha256::digest(format!("{last} {alias}")));
        let parts = [&digest[..8], &digest[8..12], &digest[12..16], &digest[16..20], &digest[20..32]];
        alias[REVISION] = parts.join("-").into();
    }
}

fn arn(alias: &Value) -> String {
    alias["AliasArn"].as_str().unwrap_or_default().to_owned()
}

/// What is asked of a function.
enum Operation {
    Create,
    Update,
    /// Deletes an alias, or a function with all it has.
    Delete,
    DeleteVersion(String),
}

/// CreateAlias.
pub(super) async fn create(
    State(gateway): Shared,
    Path(function): Path<String>,
    request: Request,
) -> Response {
    change(gateway, &function, request, Operation::Create).await
}

/// UpdateAlias.
pub(super) async fn update(
    State(gateway): Shared,
    Path((function, _)): Path<(String, String)>,
    request: Request,
) -> Response {
    change(gateway, &function, request, Operation::Update).await
}

/// DeleteAlias.
pub(super) async fn delete(
    State(gateway): Shared,
    Path((function, _)): Path<(String, String)>,
    request: Request,
) -> Response {
    change(gateway, &function, request, Operation::Delete).await
}

/// DeleteFunction, of one version or of the whole function.
pub(super) async fn delete_version(
    State(gateway): Shared,
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
    change(gateway, &function, request, operation).await
}

/// GetAlias and ListAliases.
pub(super) async fn read(State(gateway): Shared, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let call = Call { gateway: &gateway, headers: &parts.headers, path: parts.uri.path() };
    let request = Request::from_parts(parts.clone(), Body::empty());
    let read = async {
        let (answer, body) = pass(&gateway, request).await.into_parts();
        let body = axum::body::to_bytes(body, LONGEST)
            .await
            .map_err(|_| Refusal::service("The emulator's answer broke off or is too long"))?;
        let answer = Answer { status: answer.status, headers: answer.headers, body };
        match answer.status.is_success() {
            true => call.told(answer, StatusCode::OK),
            false => Err(Refusal::Emulator(Box::new(answer))),
        }
    };
    read.await.unwrap_or_else(IntoResponse::into_response)
}

async fn change(gateway: Arc<Gateway>, function: &str, request: Request, operation: Operation) -> Response {
    let Ok(name) = FunctionName::parse(function, None).map(|function| function.name) else {
        return pass(&gateway, request).await;
    };
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, LONGEST).await else {
        return Refusal::content("The request's body broke off or is too long").into_response();
    };
    let deleted = matches!(operation, Operation::Delete).then(|| parts.clone());
    let work = async move {
        let _held = gateway.functions.hold(&name).await;
        let call = Call { gateway: &gateway, headers: &parts.headers, path: parts.uri.path() };
        let done = match operation {
            Operation::Create => call.create(body).await,
            Operation::Update => call.update(body).await,
            Operation::Delete => Ok(None),
            Operation::DeleteVersion(version) => call.unused(&version).await.map(|()| None),
        };
        match done {
            Ok(Some(answer)) => answer,
            Ok(None) => {
                let answer = pass(&gateway, Request::from_parts(parts, Body::empty())).await;
                if let Some(parts) = deleted.filter(|_| answer.status().is_success()) {
                    forget(&gateway, &parts, &name).await;
                }
                answer
            }
            Err(refusal) => refusal.into_response(),
        }
    };
    to_the_end(work).await
}

/// Forgets what the gateway keeps of an alias, or of a function, that is gone.
async fn forget(gateway: &Gateway, parts: &Parts, function: &str) {
    let Ok(owner) = Owner::of(gateway, parts).await else {
        return;
    };
    let alias = parts.uri.path().split_once("/aliases/").map(|(_, alias)| alias.trim_end_matches('/'));
    function_urls::forget(gateway, &owner, function, alias);
    if alias.is_none() {
        dead_letters::forget(gateway, &owner.account, &owner.region, function);
    }
}

/// One call and what it needs to ask the emulator in its name.
pub(super) struct Call<'a> {
    pub(super) gateway: &'a Gateway,
    pub(super) headers: &'a HeaderMap,
    pub(super) path: &'a str,
}

impl Call<'_> {
    async fn create(&self, body: Bytes) -> Result<Option<Response>, Refusal> {
        let function = self.path.trim_end_matches("/aliases");
        self.versions_exist(function, &json(&body)?).await?;
        let answer = self.ask(Method::POST, self.path, body).await?;
        self.gateway.revisions.change(&json(&answer.body)?);
        self.told(answer, StatusCode::CREATED).map(Some)
    }

    async fn update(&self, body: Bytes) -> Result<Option<Response>, Refusal> {
        let wanted = json(&body)?;
        let answer = self.ask(Method::GET, self.path, Bytes::new()).await?;
        let mut there = json(&answer.body)?;
        self.gateway.revisions.mark(&mut there);
        if wanted[REVISION].as_str().is_some_and(|wanted| there[REVISION] != wanted) {
            return Err(Refusal::new(
                StatusCode::PRECONDITION_FAILED,
                "PreconditionFailedException",
                "The RevisionId provided does not match the latest RevisionId. Call the GetAlias API to retrieve the \
                 latest RevisionId",
            ));
        }
        let function = self.path.split("/aliases/").next().unwrap_or(self.path);
        self.versions_exist(function, &wanted).await?;
        let answer = self.ask(Method::PUT, self.path, body).await?;
        self.gateway.revisions.change(&there);
        self.told(answer, StatusCode::OK).map(Some)
    }

    /// Refuses an alias to a version that is not there.
    async fn versions_exist(&self, function: &str, alias: &Value) -> Result<(), Refusal> {
        for version in versions(alias) {
            let known = version == "$LATEST" || version.bytes().all(|byte| byte.is_ascii_digit());
            if !known {
                return Err(Refusal::new(
                    StatusCode::BAD_REQUEST,
                    "ValidationException",
                    format!("`{version}` is neither `$LATEST` nor a version's number"),
                ));
            }
            let path = format!("{function}?Qualifier={}", http::encode(&version));
            self.ask(Method::GET, &path, Bytes::new()).await?;
        }
        Ok(())
    }

    /// Refuses the deletion of a version that an alias uses.
    async fn unused(&self, version: &str) -> Result<(), Refusal> {
        // The name may carry the version.
        let qualifiers = [format!(":{version}"), format!("%3A{version}"), format!("%3a{version}")];
        let mut named = qualifiers.iter().filter_map(|qualifier| self.path.strip_suffix(qualifier));
        let function = named.next().unwrap_or(self.path);
        let mut names = Vec::new();
        let mut marker = None;
        loop {
            let more =
                marker.map_or(String::new(), |marker: String| format!("?Marker={}", http::encode(&marker)));
            let answer = self.ask(Method::GET, &format!("{function}/aliases{more}"), Bytes::new()).await?;
            let list = json(&answer.body)?;
            let aliases = list["Aliases"].as_array().into_iter().flatten();
            let uses = aliases.filter(|alias| versions(alias).contains(version));
            names.extend(uses.filter_map(|alias| alias["Name"].as_str().map(str::to_owned)));
            marker = list["NextMarker"].as_str().map(str::to_owned);
            if marker.is_none() {
                break;
            }
        }
        if names.is_empty() {
            return Ok(());
        }
        Err(Refusal::conflict(format!(
            "Unable to delete version because the following aliases reference it: [{}]",
            names.join(", ")
        )))
    }

    pub(super) async fn ask(&self, method: Method, target: &str, body: Bytes) -> Result<Answer, Refusal> {
        let reads = method == Method::GET;
        let mut request = Request::builder().method(method).uri(target);
        // A change is the client's own request, and carries its signature; what is asked beside it is ours to sign.
        for (name, value) in self.headers {
            let needed = [header::AUTHORIZATION, header::CONTENT_TYPE, header::HOST].contains(name);
            let of_the_body =
                [header::CONTENT_LENGTH, header::EXPECT, header::TRANSFER_ENCODING].contains(name);
            if needed || (!reads && !of_the_body && name != header::CONNECTION) {
                request = request.header(name, value);
            }
        }
        let request = request.body(()).map_err(|error| Refusal::parameter(error.to_string()))?;
        let (mut parts, ()) = request.into_parts();
        if reads {
            self.gateway.accounts.resign(&mut parts, b"");
        }
        let request = Request::from_parts(parts, Body::from(body));
        let answer = http::exchange(&self.gateway.authority, request, LONGEST, WITHIN).await?;
        if answer.status.is_success() { Ok(answer) } else { Err(Refusal::Emulator(Box::new(answer))) }
    }

    /// Gives the emulator's answer with our revisions, under the status that Lambda has for it.
    fn told(&self, answer: Answer, status: StatusCode) -> Result<Response, Refusal> {
        let mut told = json(&answer.body)?;
        match told.get_mut("Aliases").and_then(Value::as_array_mut) {
            Some(aliases) => aliases.iter_mut().for_each(|alias| self.gateway.revisions.mark(alias)),
            None => self.gateway.revisions.mark(&mut told),
        }
        let headers = [(header::CONTENT_TYPE, "application/json")];
        Ok((status, headers, told.to_string()).into_response())
    }
}

/// The versions that an alias points to, or is to point to.
fn versions(alias: &Value) -> BTreeSet<String> {
    let weights = alias["RoutingConfig"]["AdditionalVersionWeights"].as_object();
    let weighted = weights.into_iter().flatten().map(|(version, _)| version.clone());
    let main = alias["FunctionVersion"].as_str().map(str::to_owned);
    weighted.chain(main).collect()
}

fn json(body: &[u8]) -> Result<Value, Refusal> {
    serde_json::from_slice(body)
        .map_err(|error| Refusal::content(format!("Could not parse the body into json: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_revision_changes_with_each_change_and_never_comes_back() {
        let revisions = Revisions::new();
        let revision = |version: &str, arn: &str| {
            let mut alias = json!({ "AliasArn": arn, "FunctionVersion": version, "RevisionId": "constant" });
            revisions.mark(&mut alias);
            alias[REVISION].as_str().unwrap().to_owned()
        };
        let first = revision("1", "a");
        assert_eq!(first, revision("1", "a"));
        let lengths: Vec<usize> = first.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        let other = revision("1", "b");
        revisions.change(&json!({ "AliasArn": "a" }));
        assert_ne!(first, revision("1", "a"));
        assert_eq!(other, revision("1", "b"));
        assert_ne!(first, revision("2", "a"));
    }

    #[test]
    fn weights_count_as_versions_of_an_alias() {
        let alias = json!({
            "FunctionVersion": "3",
            "RoutingConfig": { "AdditionalVersionWeights": { "4": 0.1 } },
        });
        assert_eq!(versions(&alias).into_iter().collect::<Vec<_>>(), ["3", "4"]);
        assert!(versions(&json!({ "Description": "x", "RoutingConfig": null })).is_empty());
    }
}
